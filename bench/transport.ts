/** The cost of our HTTP/2, beside a grpc-js server: CPU of an empty call, latency at half load, memory of open connections. */

import net from 'node:net';
import { H2Load } from './h2load.ts';
import { Load } from './load.ts';
import { type ServerProcess, startEcho, startHttp2Echo } from './processes.ts';
import { heading, inTurns, percentile, ratios, spread } from './report.ts';

const IN_FLIGHT = 64;
const WARM_UP_S = 3;
const MEASURE_S = 3;
const SIZES = [
  { name: '256 B', bytes: 256, limit: 0.1 },
  { name: '12 KB', bytes: 12_288, limit: 0.3 },
  { name: '602 KB', bytes: 602_112, limit: 0.45 },
] as const;

export async function transport(scratch: string, rounds: number): Promise<void> {
  await cost(scratch, rounds);
  await latency(rounds);
  await memory();
}

async function cost(scratch: string, rounds: number): Promise<void> {
  heading(`CPU per empty echo call, ${IN_FLIGHT} in flight: our transport, beside grpc-js`);
  const servers = { theirs: await startEcho(), ours: await startHttp2Echo() };
  for (const { name, bytes, limit } of SIZES) {
    const load = new H2Load(scratch, `echo-${bytes}`, Buffer.alloc(bytes, 'tensor'));
    for (const { port } of Object.values(servers)) await load.closedLoop(port, IN_FLIGHT, WARM_UP_S, bytes);
    const costs = await inTurns(rounds, servers, async (server) => {
      const before = server.cpuUs();
      const answered = await load.closedLoop(server.port, IN_FLIGHT, MEASURE_S, bytes);
      return (server.cpuUs() - before) / answered;
    });
    const share = spread(ratios(costs.ours, costs.theirs), 2);
    console.log(
      `${name.padStart(7)}  h2 ${spread(costs.ours, 1)} us  grpc-js ${spread(costs.theirs, 1)} us  ratio ${share}  (goal: at most ${limit})`,
    );
  }
  await Promise.all(Object.values(servers).map((server) => server.stop()));
}

/** About half of what the empty grpc-js server can answer; the generator, which is one of grpc-js, can send as much. */
const RATES = [
  { name: '256 B', bytes: 256, perS: 4_000 },
  { name: '12 KB', bytes: 12_288, perS: 3_000 },
] as const;
const LATENCY_MS = 4_000;

async function latency(rounds: number): Promise<void> {
  heading('99th percentile from the moment at which a call was due, Poisson arrivals');
  const servers = { theirs: await startEcho(), ours: await startHttp2Echo() };
  for (const { name, bytes, perS } of RATES) {
    const p99 = await inTurns(rounds, servers, (server) => percentile99(server, bytes, perS));
    const share = spread(ratios(p99.ours, p99.theirs), 2);
    console.log(
      `${name.padStart(7)} at ${perS}/s  h2 ${spread(p99.ours, 2)} ms  grpc-js ${spread(p99.theirs, 2)} ms  ratio ${share}  (goal: at most 1)`,
    );
  }
  await Promise.all(Object.values(servers).map((server) => server.stop()));
}

async function percentile99(server: ServerProcess, bytes: number, perS: number): Promise<number> {
  using load = new Load(server.port, Buffer.alloc(bytes, 'tensor'));
  await load.openLoop(perS, 1_000, 10_000);
  const { answeredMs } = await load.openLoop(perS, LATENCY_MS, 10_000);
  return percentile(answeredMs, 0.99);
}

const CONNECTIONS = 1_000;
const STREAMS = 10_000;
const STREAMS_OF_A_CONNECTION = 1_000;

/** HTTP/2's preface and empty SETTINGS (RFC 9113, section 3.4). */
const HELLO = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
/** A call of a streaming method that says nothing yet, in literals that no table keeps. */
const HEAD = Buffer.concat([
  Buffer.from([0x83, 0x86]),
  literal(':path', '/inference.GRPCInferenceService/ModelStreamInfer'),
  literal('content-type', 'application/grpc'),
  literal('te', 'trailers'),
]);

function literal(name: string, value: string): Buffer {
  return Buffer.from(
    `\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`,
    'latin1',
  );
}

function head(id: number): Buffer {
  const frame = Buffer.from([0, HEAD.length >> 8, HEAD.length & 0xff, 1, 4, 0, 0, id >> 8, id & 0xff]);
  return Buffer.concat([frame, HEAD]);
}

async function memory(): Promise<void> {
  heading('Resident memory of what is open and silent, our transport');
  const server = await startHttp2Echo();
  const sockets: net.Socket[] = [];
  const connect = async (bytes: Buffer): Promise<void> => {
    const socket = net.connect(server.port, '127.0.0.1');
    await new Promise((resolve) => socket.write(bytes, resolve));
    sockets.push(socket);
  };
  const settled = async (): Promise<number> => {
    // A connection that is silent for five seconds gives its buffer back; then the collector has to find it.
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    return server.rssMiB();
  };
  const empty = await settled();
  for (let index = 0; index < CONNECTIONS; index++) await connect(HELLO);
  const connected = await settled();
  console.log(`${CONNECTIONS} idle connections: ${(((connected - empty) * 1024) / CONNECTIONS).toFixed(1)} KiB each`);
  for (let opened = 0; opened < STREAMS; opened += STREAMS_OF_A_CONNECTION) {
    const heads = Array.from({ length: STREAMS_OF_A_CONNECTION }, (_, index) => head(2 * index + 1));
    await connect(Buffer.concat([HELLO, ...heads]));
  }
  const streaming = await settled();
  console.log(`${STREAMS} open streams: ${(((streaming - connected) * 1024) / STREAMS).toFixed(1)} KiB each`);
  for (const socket of sockets) socket.destroy();
  await server.stop();
}
