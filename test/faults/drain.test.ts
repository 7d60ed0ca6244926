/** How a server ends: it answers everything that it accepted, in whatever state the signal meets it. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials, status } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { type Caller, DOORS, type Door, type Doors, RestCaller } from '../support/caller.ts';
import { identityModel, loopModel } from '../support/onnx-models.ts';
import { isAlive } from '../support/process-tree.ts';
import { Repository } from '../support/repository.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { askLoop, failureOf, HALF_A_SECOND, LONG, loopInputs } from './loop-requests.ts';
import { namedMailboxes, readMetrics, readReadiness } from './observation.ts';
import { ServerProcess } from './server-process.ts';

/** Batches of 8, of about 30 ms each: what waits takes a while, and longer than the default objective. */
const CONFIG = { instance_group: [{ count: 1 }], max_batch_size: 8, tensorgate: { objective_ms: 60_000 } };
const ITERATIONS = 600;

function loopRepository(): Repository {
  return new Repository({ loop: { versions: { 1: loopModel() }, config: CONFIG } });
}

/** Callers of each door, and the requests that each has under way when the server gets the signal. */
const BURST: Readonly<Record<Door['name'], readonly [callers: number, requests: number]>> = {
  'unary gRPC': [1, 64],
  ModelStreamInfer: [6, 50],
  REST: [1, 100],
};
const ALL = Object.values(BURST).reduce((sum, [callers, requests]) => sum + callers * requests, 0);

/** Sends that many requests; gives the values of all answers as they come. */
function sendBurst(server: Doors): { answers: number[]; done: Promise<unknown> } {
  const answers: number[] = [];
  let next = 0;
  const sent = DOORS.flatMap((door) => {
    const [callers, requests] = BURST[door.name];
    return Array.from({ length: callers }, async () => {
      using caller = door.connect(server);
      await Promise.all(
        Array.from({ length: requests }, async () => {
          answers.push(await askThrough(caller, next++, ITERATIONS));
        }),
      );
    });
  });
  return { answers, done: Promise.all(sent) };
}

/** The answer of `loop` to `value`, which has to be `value`. */
async function askThrough(caller: Caller, value: number, iterations: number): Promise<number> {
  const result = await caller.infer('loop', loopInputs(value, iterations));
  return result.output('output', 'FP32').data[0] ?? Number.NaN;
}

/** Resolves when the server has taken so many requests. It may have answered some of them. */
async function untilTaken(addresses: { readonly http: string }, requests: number): Promise<void> {
  await vi.waitUntil(
    async () => {
      const metrics = await readMetrics(addresses);
      const answered = metrics('tensorgate_requests_total', { model: 'loop', status: 'OK' });
      return answered + metrics('tensorgate_in_flight_requests') >= requests;
    },
    { timeout: 10_000, interval: 5 },
  );
}

/** The statuses that a watcher of the whole server receives, and how its call ended. */
function watchHealth(target: string): { statuses: string[]; ended: Promise<string> } {
  const client = new Client(target, credentials.createInsecure());
  const statuses: string[] = [];
  const call = client.makeServerStreamRequest(
    '/grpc.health.v1.Health/Watch',
    (request: Buffer) => request,
    // HealthCheckResponse { status = 1 }
    (response: Buffer) =>
      response[1] === 1 ? 'SERVING' : response[1] === 2 ? 'NOT_SERVING' : response.toString('hex'),
    Buffer.alloc(0),
  );
  call.on('data', (serving: string) => statuses.push(serving));
  call.on('error', () => {});
  const ended = new Promise<string>((resolve) => {
    call.on('status', ({ code }) => {
      client.close();
      resolve(status[code] ?? String(code));
    });
  });
  return { statuses, ended };
}

/** How a call ends that does not share the connection of other clients: what it sends cannot cross a GOAWAY. */
function connectAnew(target: string): Promise<string> {
  const client = new Client(target, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  return new Promise((resolve) => {
    const keep = (bytes: Buffer): Buffer => bytes;
    const path = '/inference.GRPCInferenceService/ServerLive';
    client.makeUnaryRequest(path, keep, keep, Buffer.alloc(0), (error) => {
      client.close();
      resolve(status[error?.code ?? status.OK] ?? '');
    });
  });
}

/** Whether any process accepts a connection there. */
function accepts(address: string): Promise<boolean> {
  const [host, port] = address.replace('http://', '').split(':');
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** How an inference over REST is refused or answered, on a connection of its own. */
async function inferOverRest({ http }: Doors): Promise<{ code: number; connection: string | null }> {
  const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 1], data: [1] }];
  const response = await fetch(`${http}/v2/models/loop/infer`, { method: 'POST', body: JSON.stringify({ inputs }) });
  await response.text();
  return { code: response.status, connection: response.headers.get('connection') };
}

/** It ended well, and nothing of it is left. */
async function expectGone(server: ServerProcess): Promise<void> {
  expect(await server.ended).toEqual({ code: 0, signal: null });
  expect(server.groupPids()).toEqual([]);
  expect(namedMailboxes(server.pid)).toEqual([]);
  expect(server.log.filter((line) => /"level":"(error|fatal)"/.test(line))).toEqual([]);
}

describe('receiving SIGTERM while requests are under way through every door', () => {
  test.each([
    ['SIGTERM', (server: ServerProcess) => server.kill('SIGTERM')],
    ['SIGINT to it and its runners, as a terminal does', (server: ServerProcess) => server.killGroup('SIGINT')],
    [
      'SIGTERM, and its runner dies as well',
      (server: ServerProcess) => {
        server.kill('SIGTERM');
        process.kill(server.runnerPids()[0] ?? Number.NaN, 'SIGSEGV');
      },
    ],
  ])('a server answers each of them once, refuses others, and exits with 0: %s', async (_, notify) => {
    using repository = loopRepository();
    await using server = new ServerProcess(repository.directory);
    const addresses = await server.ready;
    const health = watchHealth(addresses.grpc);
    const { answers, done } = sendBurst(addresses);
    await untilTaken(addresses, ALL);
    notify(server);
    await vi.waitUntil(async () => !(await accepts(addresses.grpc)), { timeout: 5_000, interval: 5 });
    // Refused already, with much of the work still to do.
    expect(answers.length).toBeLessThan(300);
    expect(await connectAnew(addresses.grpc)).toBe('UNAVAILABLE');
    expect(await inferOverRest(addresses)).toEqual({ code: 503, connection: 'close' });
    await done;
    expect(answers.sort((a, b) => a - b)).toEqual(Array.from({ length: ALL }, (_, value) => value));
    await expectGone(server);
    expect(server.log.filter((line) => line.includes('the server drains'))[0]).toMatch(
      // Only our own transport knows of its open calls.
      /"level":"info".*it waits for [1-9]\d* requests? without an answer( and [1-9]\d* open calls? over gRPC)?, at most 30000 ms; a second signal ends it at once"/,
    );
    expect(await health.ended).toBe('OK');
    expect(health.statuses).toEqual(['SERVING', 'NOT_SERVING']);
  });
});

describe('in its lame-duck time', () => {
  test('a server says that it is not ready, and still answers any caller', async () => {
    using repository = loopRepository();
    await using server = new ServerProcess(repository.directory, ['--lame-duck-ms', '1500']);
    const addresses = await server.ready;
    const health = watchHealth(addresses.grpc);
    await vi.waitUntil(() => health.statuses.length === 1, { interval: 5 });
    const toldAt = performance.now();
    server.kill('SIGTERM');
    await vi.waitUntil(() => health.statuses.length === 2, { timeout: 1_000, interval: 5 });
    expect(health.statuses).toEqual(['SERVING', 'NOT_SERVING']);
    expect(await readReadiness(addresses)).toEqual({ code: 503, text: 'the server drains\n' });
    // A new connection, as a client opens it that does not know of the drain yet.
    using client = new InferenceClient(addresses.grpc, { deadlineMs: 5_000 });
    expect(await askLoop(client, 1)).toBe(1);
    expect(await client.serverReady()).toBe(false);
    expect(await client.serverLive()).toBe(true);
    // One that reaches into the drain is answered as well.
    await sleep(toldAt + 1_400 - performance.now());
    expect(await askLoop(client, 2, { iterations: HALF_A_SECOND })).toBe(2);
    await expectGone(server);
    expect(performance.now() - toldAt).toBeGreaterThan(1_500);
    expect(server.log.join('\n')).toContain('after 1500 ms in which it still accepts calls');
  });

  test('a second signal ends a server at once, also while a batch runs', async () => {
    using repository = loopRepository();
    await using server = new ServerProcess(repository.directory, ['--lame-duck-ms', '60000']);
    const addresses = await server.ready;
    using client = new InferenceClient(addresses.grpc, { deadlineMs: 30_000 });
    const answer = failureOf(askLoop(client, 1, { iterations: LONG }));
    await untilTaken(addresses, 1);
    server.kill('SIGTERM');
    // Until the first has been seen, the second might be merged with it.
    await vi.waitUntil(async () => (await readReadiness(addresses)).code === 503, { interval: 5 });
    const toldAt = performance.now();
    server.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 143, signal: null });
    expect(performance.now() - toldAt).toBeLessThan(1_000);
    expect((await answer).status).toBe('UNAVAILABLE');
    // The runner notices by itself, and does not abort: no request waits for the batch.
    await vi.waitUntil(() => server.groupPids().length === 0, { timeout: 2_000, interval: 5 });
  });
});

test.each(DOORS)(
  'what cannot be answered in the time to drain is given up with UNAVAILABLE, and the exit code is 0: $name',
  async ({ connect, hasStatus }) => {
    using repository = loopRepository();
    await using server = new ServerProcess(repository.directory, ['--drain-timeout-ms', '1000']);
    const addresses = await server.ready;
    using caller = connect(addresses);
    // Ten batches, each of half a second.
    const outcomes = Array.from({ length: 80 }, (_, value) =>
      askThrough(caller, value, HALF_A_SECOND).catch((error: { status: string; details: string }) => error),
    );
    await untilTaken(addresses, 80);
    const toldAt = performance.now();
    server.kill('SIGTERM');
    const ended = await server.ended;
    expect(performance.now() - toldAt).toBeLessThan(2_500);
    expect(ended).toEqual({ code: 0, signal: null });
    expect(server.groupPids()).toEqual([]);
    const settled = await Promise.all(outcomes);
    const refused = settled.filter((outcome) => typeof outcome !== 'number');
    // Two batches of the ten, at least: how many ran in time depends on the machine.
    expect(refused.length).toBeGreaterThanOrEqual(16);
    for (const { status, details } of refused) {
      if (hasStatus) expect(status).toBe('UNAVAILABLE');
      expect(details).toMatch(/^the server end/);
    }
    for (const [value, outcome] of settled.entries()) if (typeof outcome === 'number') expect(outcome).toBe(value);
  },
);

test.each(DOORS)('a runner that hangs does not outlive the drain: $name', async ({ connect, hasStatus }) => {
  using repository = loopRepository();
  await using server = new ServerProcess(repository.directory, ['--drain-timeout-ms', '1000']);
  const addresses = await server.ready;
  const [runner = Number.NaN] = server.runnerPids();
  using caller = connect(addresses);
  process.kill(runner, 'SIGSTOP');
  const outcome = askThrough(caller, 1, 1).catch((error: { status: string; details: string }) => error);
  await untilTaken(addresses, 1);
  server.kill('SIGTERM');
  await expectGone(server);
  expect(await outcome).toMatchObject({
    ...(hasStatus && { status: 'UNAVAILABLE' }),
    details: expect.stringMatching(/^the server end/),
  });
});

test('a second signal kills a runner that hangs', async () => {
  using repository = loopRepository();
  await using server = new ServerProcess(repository.directory, ['--lame-duck-ms', '60000']);
  const addresses = await server.ready;
  process.kill(server.runnerPids()[0] ?? Number.NaN, 'SIGSTOP');
  server.kill('SIGTERM');
  await vi.waitUntil(async () => (await readReadiness(addresses)).code === 503, { interval: 5 });
  server.kill('SIGTERM');
  expect(await server.ended).toEqual({ code: 143, signal: null });
  await vi.waitUntil(() => server.groupPids().length === 0, { timeout: 2_000, interval: 5 });
});

/** A listener that accepts connections and never answers, as an exporter may meet. */
async function listenSilently(): Promise<string> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  onTestFinished(() => void listener.close());
  return `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
}

test('an exporter that hangs does not hold up the end', async () => {
  using repository = loopRepository();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: await listenSilently() };
  await using server = new ServerProcess(repository.directory, ['--drain-timeout-ms', '500'], env);
  const { grpc } = await server.ready;
  using client = new InferenceClient(grpc);
  expect(await askLoop(client, 1)).toBe(1);
  const toldAt = performance.now();
  server.kill('SIGTERM');
  expect(await server.ended).toEqual({ code: 0, signal: null });
  // The exporter by itself would take its own 10 s, and its flush is otherwise given 5 s.
  expect(performance.now() - toldAt).toBeLessThan(4_000);
  expect(server.groupPids()).toEqual([]);
});

/** Has the program print a line when it begins to handle SIGTERM. */
const SAYS_WHEN_IT_LISTENS = `--import=data:text/javascript,${encodeURIComponent(
  "process.on('newListener', (name) => name === 'SIGTERM' && process._rawDebug('handles SIGTERM'))",
)}`;

test('a server that hangs in a file system while it starts is killed after the drain time, by SIGKILL', async () => {
  using repository = loopRepository();
  const file = path.join(temporaryDirectory(), 'certificate.pem');
  // To open it for reading never returns.
  execFileSync('mkfifo', [file]);
  // grpc-js has no TLS, and would not read it.
  const tls = ['--transport', 'h2', '--tls-certificate', file, '--tls-private-key', file];
  const flags = [...tls, '--drain-timeout-ms', '500'];
  await using server = new ServerProcess(repository.directory, flags, { NODE_OPTIONS: SAYS_WHEN_IT_LISTENS });
  await vi.waitUntil(() => server.log.includes('handles SIGTERM'), { timeout: 20_000, interval: 5 });
  server.kill('SIGTERM');
  expect(await server.ended).toEqual({ code: null, signal: 'SIGKILL' });
  expect(server.log.at(-1)).toMatch(/^error: the server has not ended within 950 ms: the remaining work is killed$/);
});

describe('over REST', () => {
  const MiB = 2 ** 20;
  /** More than the kernel holds for a connection. */
  const ANSWER_BYTES = 12 * MiB;

  function largeRepository(): Repository {
    return new Repository({ large: { versions: { 1: identityModel('UINT8', ['batch', ANSWER_BYTES]) } } });
  }

  /** Asks for the answer, which is not read until `read` is called. */
  async function askLarge({ http }: Doors): Promise<{ read(): Promise<number> }> {
    const headers = { 'inference-header-content-length': '0' };
    const asked = request(`${http}/v2/models/large/infer`, { method: 'POST', headers, agent: false });
    asked.end(Buffer.alloc(ANSWER_BYTES));
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return {
      read: async () => {
        let bytes = 0;
        for await (const chunk of answer) {
          bytes += chunk.length;
          await sleep(1);
        }
        return bytes;
      },
    };
  }

  test('an answer that is being read is read whole, and the server ends then', async () => {
    using repository = largeRepository();
    await using server = new ServerProcess(repository.directory);
    const addresses = await server.ready;
    const answers = await Promise.all([askLarge(addresses), askLarge(addresses)]);
    server.kill('SIGTERM');
    await vi.waitUntil(async () => !(await accepts(addresses.grpc)), { timeout: 5_000, interval: 5 });
    for (const bytes of await Promise.all(answers.map((answer) => answer.read()))) {
      expect(bytes).toBeGreaterThan(ANSWER_BYTES);
    }
    await expectGone(server);
  });

  test('an answer that no one reads does not hold up the end for longer than the drain time', async () => {
    using repository = largeRepository();
    await using server = new ServerProcess(repository.directory, ['--drain-timeout-ms', '1000']);
    const answer = await askLarge(await server.ready);
    const toldAt = performance.now();
    server.kill('SIGTERM');
    await expectGone(server);
    expect(performance.now() - toldAt).toBeLessThan(2_500);
    await expect(answer.read()).rejects.toThrow();
  });

  test('callers that go on asking over kept connections see refusals, and no failure', async () => {
    using repository = loopRepository();
    await using server = new ServerProcess(repository.directory, ['--lame-duck-ms', '500']);
    const addresses = await server.ready;
    using caller = new RestCaller(addresses.http);
    const outcomes: string[] = [];
    let isTold = false;
    const lanes = Array.from({ length: 4 }, async () => {
      for (let value = 0; ; value++) {
        const outcome = await askThrough(caller, value, 1).then(
          (answer) => (answer === value ? 'right' : 'wrong'),
          (error: { status?: string; code?: string }) => error.status ?? error.code ?? 'failed',
        );
        // A caller that a busy machine held up until the server was gone has met no drain.
        if (!isAlive(server.pid)) return;
        outcomes.push(outcome);
        // Refused with 503: from here on another replica answers.
        if (isTold && outcome !== 'right') return;
      }
    });
    await vi.waitUntil(() => outcomes.length > 100);
    server.kill('SIGTERM');
    isTold = true;
    await Promise.all(lanes);
    await expectGone(server);
    expect(new Set(outcomes)).toEqual(new Set(['right', 'UNAVAILABLE']));
  });
});

describe('a server that receives SIGTERM while it loads models', () => {
  /** More than are loaded at a time, so that some have not begun. */
  function manyModels(): Repository {
    const names = Array.from({ length: 8 }, (_, index) => `model-${index}`);
    return new Repository(Object.fromEntries(names.map((name) => [name, identityModel('FP32')])));
  }

  test.each([
    ['SIGTERM', (server: ServerProcess) => server.kill('SIGTERM')],
    ['SIGINT to it and its runners', (server: ServerProcess) => server.killGroup('SIGINT')],
  ])('ends with 0 and says nothing of being ready: %s', async (_, notify) => {
    using repository = manyModels();
    await using server = new ServerProcess(repository.directory);
    await vi.waitUntil(() => server.runnerPids().length > 0, { timeout: 20_000, interval: 1 });
    const toldAt = performance.now();
    notify(server);
    await expectGone(server);
    expect(performance.now() - toldAt).toBeLessThan(2_000);
    expect(server.lines).toEqual([]);
  });

  test('ends with 0 while models of one runner wait for each other', async () => {
    const config = { tensorgate: { runner: 'common' } };
    const names = ['a', 'b', 'c', 'd'];
    using repository = new Repository(
      Object.fromEntries(names.map((name) => [name, { versions: { 1: identityModel('FP32') }, config }])),
    );
    await using server = new ServerProcess(repository.directory);
    await vi.waitUntil(() => server.runnerPids().length > 0, { timeout: 20_000, interval: 1 });
    server.kill('SIGTERM');
    await expectGone(server);
    expect(server.lines).toEqual([]);
  });
});

test('a server that receives SIGTERM while a runner waits to be started again does not wait for it', async () => {
  using repository = loopRepository();
  await using server = new ServerProcess(repository.directory);
  const { grpc } = await server.ready;
  using client = new InferenceClient(grpc, { deadlineMs: 20_000 });
  // After the fourth death the pause is a second long.
  for (let death = 1; death <= 4; death++) {
    expect(await askLoop(client, death)).toBe(death);
    const [runner = Number.NaN] = server.runnerPids();
    process.kill(runner, 'SIGKILL');
    await vi.waitUntil(() => !server.runnerPids().includes(runner), { timeout: 5_000, interval: 5 });
  }
  const toldAt = performance.now();
  server.kill('SIGTERM');
  await expectGone(server);
  expect(performance.now() - toldAt).toBeLessThan(700);
});
