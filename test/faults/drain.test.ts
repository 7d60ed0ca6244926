/** How a server ends: with everything answered that it accepted, whatever it is doing when it is told. */

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials, status } from '@grpc/grpc-js';
import { describe, expect, test, vi } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { identityModel, loopModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { askLoop, failureOf, LONG, loopInputs } from './loop-requests.ts';
import { namedMailboxes, readMetrics, readReadiness } from './observation.ts';
import { ServerProcess } from './server-process.ts';

/** Batches of 8, of about 30 ms each: what waits takes a while. */
const CONFIG = { instance_group: [{ count: 1 }], max_batch_size: 8 };
const ITERATIONS = 600;

function loopRepository(): Repository {
  return new Repository({ loop: { versions: { 1: loopModel() }, config: CONFIG } });
}

/** Sends `calls` requests as calls of their own and `streamed` on streams of 50; gives the values of all answers as they come. */
function sendBurst(
  client: InferenceClient,
  calls: number,
  streamed: number,
): { answers: number[]; done: Promise<void> } {
  const answers: number[] = [];
  const unary = Array.from({ length: calls }, async (_, index) => {
    answers.push(await askLoop(client, index, { iterations: ITERATIONS }));
  });
  const streams = Array.from({ length: streamed / 50 }, async (_, stream) => {
    const requests = Array.from({ length: 50 }, (_, index) => {
      const value = calls + stream * 50 + index;
      return { model: 'loop', id: String(value), inputs: loopInputs(value, ITERATIONS) };
    });
    for await (const answer of client.stream(requests)) {
      if (answer.kind === 'error') throw answer.error;
      expect(answer.id).toBe(String(answer.result.output('output', 'FP32').data[0]));
      answers.push(Number(answer.id));
    }
  });
  return { answers, done: Promise.all([...unary, ...streams]).then(() => {}) };
}

/** Resolves when the server has taken so many requests, some of which it may have answered. */
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

/** The statuses that a watcher of the whole server is told, and how its call ended. */
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

/** Whether anybody accepts a connection there. */
function accepts(address: string): Promise<boolean> {
  const [host, port] = address.replace('http://', '').split(':');
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** It ended well, and nothing of it is left. */
async function expectGone(server: ServerProcess): Promise<void> {
  expect(await server.ended).toEqual({ code: 0, signal: null });
  expect(server.groupPids()).toEqual([]);
  expect(namedMailboxes(server.pid)).toEqual([]);
  expect(server.log.filter((line) => /"level":"(error|fatal)"/.test(line))).toEqual([]);
}

describe('told to end while 64 calls and 400 streamed requests are under way', () => {
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
  ])('a server answers each of them once, refuses others, and exits with 0: %s', async (_, tell) => {
    using repository = loopRepository();
    await using server = new ServerProcess(repository.directory);
    const addresses = await server.ready;
    using client = new InferenceClient(addresses.grpc);
    const health = watchHealth(addresses.grpc);
    const { answers, done } = sendBurst(client, 64, 400);
    await untilTaken(addresses, 464);
    tell(server);
    await vi.waitUntil(async () => !(await accepts(addresses.grpc)), { timeout: 5_000, interval: 5 });
    // Refused already, with much of the work still to do.
    expect(answers.length).toBeLessThan(300);
    expect(await connectAnew(addresses.grpc)).toBe('UNAVAILABLE');
    await done;
    expect(answers.sort((a, b) => a - b)).toEqual(Array.from({ length: 464 }, (_, value) => value));
    await expectGone(server);
    expect(await health.ended).toBe('OK');
    expect(health.statuses).toEqual(['SERVING', 'NOT_SERVING']);
  });
});

describe('in its lame-duck time', () => {
  test('a server says that it is not ready, and still answers whoever calls', async () => {
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
    // A new connection, as of a client that has not heard yet.
    using client = new InferenceClient(addresses.grpc, { deadlineMs: 5_000 });
    expect(await askLoop(client, 1)).toBe(1);
    expect(await client.serverReady()).toBe(false);
    expect(await client.serverLive()).toBe(true);
    // One that reaches into the drain is answered as well.
    await sleep(toldAt + 1_400 - performance.now());
    expect(await askLoop(client, 2, { iterations: LONG })).toBe(2);
    await expectGone(server);
    expect(performance.now() - toldAt).toBeGreaterThan(1_500);
  });

  test('a second signal ends a server at once, also while a batch runs', async () => {
    using repository = loopRepository();
    await using server = new ServerProcess(repository.directory, ['--lame-duck-ms', '60000']);
    const addresses = await server.ready;
    using client = new InferenceClient(addresses.grpc, { deadlineMs: 30_000 });
    const answer = failureOf(askLoop(client, 1, { iterations: 2 * LONG }));
    await untilTaken(addresses, 1);
    server.kill('SIGTERM');
    // Until the first has been seen, the second might be merged with it.
    await vi.waitUntil(async () => (await readReadiness(addresses)).code === 503, { interval: 5 });
    const toldAt = performance.now();
    server.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 143, signal: null });
    expect(performance.now() - toldAt).toBeLessThan(1_000);
    expect((await answer).status).toBe('UNAVAILABLE');
    // The runner notices by itself, and does not abort: nobody waits for the batch.
    await vi.waitUntil(() => server.groupPids().length === 0, { timeout: 2_000, interval: 5 });
  });
});

test('what cannot be answered in the time to drain is given up with UNAVAILABLE, and the exit code is 0', async () => {
  using repository = loopRepository();
  await using server = new ServerProcess(repository.directory, ['--drain-timeout-ms', '1000']);
  const addresses = await server.ready;
  using client = new InferenceClient(addresses.grpc, { deadlineMs: 30_000 });
  // Ten batches, each of half a second.
  const outcomes = Array.from({ length: 80 }, (_, value) =>
    askLoop(client, value, { iterations: LONG }).catch((error: { status: string; message: string }) => error),
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
  expect(refused.length).toBeGreaterThan(40);
  for (const { status, message } of refused) {
    expect(status).toBe('UNAVAILABLE');
    expect(message).toMatch(/^the server end/);
  }
  for (const [value, outcome] of settled.entries()) if (typeof outcome === 'number') expect(outcome).toBe(value);
});

describe('a server that is told to end while it loads models', () => {
  /** More than are loaded at a time, so that some have not begun. */
  function manyModels(): Repository {
    const names = Array.from({ length: 8 }, (_, index) => `model-${index}`);
    return new Repository(Object.fromEntries(names.map((name) => [name, identityModel('FP32')])));
  }

  test.each([
    ['SIGTERM', (server: ServerProcess) => server.kill('SIGTERM')],
    ['SIGINT to it and its runners', (server: ServerProcess) => server.killGroup('SIGINT')],
  ])('ends with 0 and says nothing of being ready: %s', async (_, tell) => {
    using repository = manyModels();
    await using server = new ServerProcess(repository.directory);
    await vi.waitUntil(() => server.runnerPids().length > 0, { timeout: 20_000, interval: 1 });
    const toldAt = performance.now();
    tell(server);
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

test('a server that is told to end while a runner waits to be started again does not wait for it', async () => {
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
