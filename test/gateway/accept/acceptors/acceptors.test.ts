/** What several acceptors add to the contract of a transport: shared limits, and the loss of one of them. */

import { once } from 'node:events';
import net from 'node:net';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type AcceptorsOptions, acceptorsListener } from '../../../../src/gateway/accept/acceptors/acceptors.ts';
import type { CancelReason, Method, Transport, UnaryCall } from '../../../../src/gateway/accept/call.ts';
import { InferError } from '../../../../src/gateway/errors.ts';
import { type AcceptorEnded, diagnostics } from '../../../../src/gateway/ops/diagnostics.ts';
import { frame, grpcMessage, RawPeer, request, Type } from '../../../http2/raw-frames.ts';
import { TRANSPORT_OPTIONS } from '../../../support/transport-options.ts';
import { RawClient } from '../raw-client.ts';

const METHOD = '/t/Method';
const OPTIONS = { ...TRANSPORT_OPTIONS, maxMessageBytes: 8 * 1024 * 1024 };
const echo: Method = { kind: 'unary', handle: (call) => call.reply([call.message]) };

let transport: Transport | undefined;
let workers: Worker[];
let reached: string[];
let ended: AcceptorEnded[];
let stopWatching: () => void;

beforeEach(() => {
  workers = [];
  reached = [];
  ended = [];
  const note = (worker: Worker): void => void workers.push(worker);
  process.on('worker', note);
  const unsubscribe = [
    diagnostics.limitReached.subscribe(({ limit }) => reached.push(limit)),
    diagnostics.acceptorEnded.subscribe((event) => ended.push(event)),
  ];
  stopWatching = () => {
    process.off('worker', note);
    for (const each of unsubscribe) each();
  };
});

afterEach(async () => {
  await transport?.drain(0);
  transport = undefined;
  stopWatching();
});

async function serve(method: Method, options: Partial<AcceptorsOptions> = {}): Promise<number> {
  transport = await acceptorsListener({ count: 2, ...options })(OPTIONS, new Map([[METHOD, method]]));
  return transport.port;
}

function until(isSo: () => boolean): Promise<unknown> {
  return vi.waitUntil(isSo, { timeout: 40_000, interval: 20 });
}

/** Connections by acceptor. */
function spread(): number[] {
  return transport?.gauges?.acceptors?.map(({ connections }) => connections) ?? [];
}

/** Opens sockets until each acceptor has some: the system chooses by the ports of both ends. */
async function socketsOnAll(port: number, count: number): Promise<net.Socket[]> {
  const sockets: net.Socket[] = [];
  while (sockets.length < count || spread().includes(0)) {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    await until(() => spread().reduce((sum, each) => sum + each, 0) === sockets.length);
  }
  return sockets;
}

describe('limits', () => {
  test('on connections hold for all acceptors together, and the limit is reported', async () => {
    const port = await serve(echo, { count: 2, limits: { maxConnectionsPerAddress: 64 } });
    const sockets = await socketsOnAll(port, 64);
    expect(sockets).toHaveLength(64);
    const further = net.connect(port, '127.0.0.1');
    further.on('error', () => undefined);
    await once(further, 'close');
    await until(() => reached.includes('http2MaxConnectionsPerAddress'));
    for (const socket of sockets) socket.destroy();
    await until(() => spread().every((connections) => connections === 0));
    const client = new RawClient(port);
    expect((await client.unary(METHOD, Buffer.from('x'))).status).toBe('OK');
    client.close();
  });
});

describe('a screen', () => {
  test('sees the head of a call whose message never comes, and refuses it', async () => {
    let handled = 0;
    const port = await serve({
      kind: 'unary',
      screen: (call) => new InferError('overloaded', `no room for ${String(call.get('x-who'))}`, { pushback: 5 }),
      handle: () => handled++,
    });
    using peer = await RawPeer.connect(port);
    await peer.send(
      request(1, METHOD, { 'x-who': 'you' }),
      frame(Type.DATA, 0, 1, grpcMessage(Buffer.alloc(100_000)).subarray(0, 9_000)),
    );
    await peer.frame(({ type, id }) => type === Type.HEADERS && id === 1);
    expect(handled).toBe(0);
  });
});

describe('an acceptor that is lost', () => {
  test('loses only its connections: its calls are cancelled, all others are answered, and another takes its place', async () => {
    const held: UnaryCall[] = [];
    const cancelled: CancelReason[] = [];
    const port = await serve({
      kind: 'unary',
      handle(call) {
        held.push(call);
        call.onCancel = (reason) => cancelled.push(reason);
      },
    });
    const clients: RawClient[] = [];
    while (clients.length < 8 || spread().includes(0)) {
      const client = new RawClient(port);
      clients.push(client);
      void client.unary(METHOD, Buffer.from('opens the connection'));
      await until(() => held.length === clients.length);
      await until(() => spread().reduce((sum, each) => sum + each, 0) === clients.length);
    }
    for (const call of held.splice(0)) call.reply([]);
    const outcomes = clients.map((client) => client.unary(METHOD, Buffer.from('x')));
    await until(() => held.length === clients.length);
    const [, lost = 0] = spread();

    await workers[1]?.terminate();
    await until(() => ended.length === 1);
    expect(ended).toEqual([expect.objectContaining({ acceptor: 1, lostCalls: lost })]);
    expect(cancelled).toEqual(Array(lost).fill('connection'));
    for (const call of held) call.reply([Buffer.from('answered')]);
    const statuses = (await Promise.all(outcomes)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 'OK')).toHaveLength(clients.length - lost);
    expect(statuses.filter((status) => status === 'UNAVAILABLE')).toHaveLength(lost);

    // The third thread is the second acceptor again.
    await until(() => workers.length === 3);
    for (const client of clients) client.close();
    await socketsOnAll(port, 2).then((sockets) => sockets.forEach((socket) => void socket.destroy()));
  });

  test('during a drain is not started again, and holds up nothing', async () => {
    const started = Promise.withResolvers<void>();
    const port = await serve({ kind: 'unary', handle: () => started.resolve() });
    const client = new RawClient(port);
    const outcome = client.unary(METHOD, Buffer.from('x'));
    await started.promise;
    const drained = transport?.drain(20_000);
    for (const worker of workers) await worker.terminate();
    await drained;
    expect((await outcome).status).toBe('UNAVAILABLE');
    expect(ended).toEqual([]);
    expect(workers).toHaveLength(2);
    client.close();
  });
});
