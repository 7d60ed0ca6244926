/** Runners that die, hang or vanish under load: callers notice nothing. */

import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { loopModel, sumModel } from '../support/onnx-models.ts';
import { isAlive, stopProcess } from '../support/process-tree.ts';
import { Repository } from '../support/repository.ts';
import { killEach, startServer, type TestServer } from '../support/server.ts';
import { StockClient } from '../support/stock-client.ts';
import { askLoop, failureOf } from './loop-requests.ts';
import { heldMailboxes, namedMailboxes, readMetrics, readReadiness } from './observation.ts';
import { ServerProcess } from './server-process.ts';
import { killInBatch } from './stall.ts';
import { Traffic } from './traffic.ts';

const ONE_INSTANCE = { instance_group: [{ count: 1 }] };
/** About 5 ms a batch. */
const LOAD = { iterations: 100, inFlight: 64 };

/** Models are loaded in the order of their names, and a runner is started for each. */
function loopRepository(): Repository {
  return new Repository({
    loop: { versions: { 1: loopModel() }, config: ONE_INSTANCE },
    neighbour: { versions: { 1: sumModel() }, config: ONE_INSTANCE },
  });
}

function runnersOf(server: TestServer): { loop: number; neighbour: number } {
  const [loop, neighbour] = server.runnerPids();
  if (loop === undefined || neighbour === undefined) throw new Error('a runner is missing');
  return { loop, neighbour };
}

/** Every request that was sent was answered once, and with its own answer. */
async function expectNothingLost(traffic: Traffic, server: TestServer): Promise<void> {
  await traffic.stop();
  expect(traffic.faults).toEqual([]);
  expect(traffic.answered).toBe(traffic.sent);
  const metrics = await readMetrics(server);
  expect(metrics('tensorgate_requests_total', { model: 'loop', status: 'OK' })).toBe(traffic.sent);
  expect(metrics('tensorgate_in_flight_requests')).toBe(0);
  expect(metrics('tensorgate_in_flight_bytes')).toBe(0);
  expect(metrics('tensorgate_queue_depth', { model: 'loop' })).toBe(0);
}

describe('under a load of 64 requests at a time', () => {
  test.each(['SIGSEGV', 'SIGKILL'] as const)('a runner that dies of %s costs no request', async (signal) => {
    using repository = loopRepository();
    await using server = await startServer(repository.directory);
    const before = runnersOf(server);
    const mailboxes = heldMailboxes(server.pid);
    await using traffic = new Traffic(server, LOAD);
    await traffic.more(1_000);
    await killInBatch(server, signal, ({ running }) => running > 0);
    await traffic.more(2_000);
    await expectNothingLost(traffic, server);

    const metrics = await readMetrics(server);
    expect(metrics('tensorgate_runner_restarts_total', { runner: 'loop:1' })).toBe(1);
    expect(metrics('tensorgate_batches_total', { model: 'loop', outcome: 'crashed' })).toBe(1);
    // The neighbour still has its runner, and nothing of the dead one is kept.
    expect(server.runnerPids()).toHaveLength(2);
    expect(server.runnerPids()).toContain(before.neighbour);
    expect(server.runnerPids()).not.toContain(before.loop);
    expect(heldMailboxes(server.pid)).toBe(mailboxes);
    expect(namedMailboxes(server.pid)).toEqual([]);
    expect(await readReadiness(server)).toEqual({ code: 200, text: 'ready\n' });
  });

  test('a runner that hangs is killed within its limit, and costs no request', async () => {
    using repository = loopRepository();
    await using server = await startServer(repository.directory);
    const { loop } = runnersOf(server);
    await using traffic = new Traffic(server, LOAD);
    await traffic.more(500);
    const stoppedAt = performance.now();
    await stopProcess(loop);
    await vi.waitUntil(() => !isAlive(loop), { timeout: 10_000, interval: 10 });
    // Two seconds without progress, and up to a look at the threads before and after.
    expect(performance.now() - stoppedAt).toBeGreaterThan(1_900);
    expect(performance.now() - stoppedAt).toBeLessThan(5_000);
    await traffic.more(1_000);
    await expectNothingLost(traffic, server);
    const metrics = await readMetrics(server);
    expect(metrics('tensorgate_runner_restarts_total', { runner: 'loop:1' })).toBe(1);
    expect(metrics('tensorgate_batches_total', { model: 'loop', outcome: 'timed_out' })).toBe(1);
  });

  test('a gateway that was stopped itself, and finds answers that seem late, gives each once', async () => {
    using repository = loopRepository();
    await using server = await startServer(repository.directory);
    await using traffic = new Traffic(server, LOAD);
    await traffic.more(500);
    await stopProcess(server.pid);
    // Longer than a run may make no progress.
    await sleep(2_500);
    process.kill(server.pid, 'SIGCONT');
    await traffic.more(1_000);
    await expectNothingLost(traffic, server);
  });

  test('five deaths, a second or more apart, lose nothing', async () => {
    using repository = loopRepository();
    await using server = await startServer(repository.directory);
    const { neighbour } = runnersOf(server);
    await using traffic = new Traffic(server, LOAD);
    for (let death = 1; death <= 5; death++) {
      await Promise.all([sleep(1_000), traffic.more(300)]);
      const [loop] = server.runnerPids().filter((pid) => pid !== neighbour);
      process.kill(loop ?? Number.NaN, 'SIGKILL');
    }
    await traffic.more(500);
    await expectNothingLost(traffic, server);
    const metrics = await readMetrics(server);
    expect(metrics('tensorgate_runner_restarts_total', { runner: 'loop:1' })).toBe(5);
    expect(namedMailboxes(server.pid)).toEqual([]);
  });
});

test('a runner that dies while nothing runs is replaced, and the next request finds the new one', async () => {
  using repository = loopRepository();
  await using server = await startServer(repository.directory);
  using client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
  const { loop } = runnersOf(server);
  process.kill(loop, 'SIGKILL');
  await vi.waitUntil(() => !isAlive(loop), { interval: 5 });
  expect(await askLoop(client, 7)).toBe(7);
  expect(runnersOf(server).loop).not.toBe(loop);
});

describe('a runner that cannot be replaced', () => {
  test('makes its version UNAVAILABLE, with the reason, until it can be, and leaves the others unchanged', async () => {
    using repository = loopRepository();
    await using server = await startServer(repository.directory);
    using client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
    const file = path.join(repository.directory, 'loop', '1', 'model.onnx');
    fs.renameSync(file, `${file}.away`);
    process.kill(runnersOf(server).loop, 'SIGKILL');
    await vi.waitUntil(async () => (await readReadiness(server)).code === 503, { timeout: 10_000 });
    const { text } = await readReadiness(server);
    expect(text).toMatch(/^model loop version 1 is UNAVAILABLE: .*loop\/1\/model\.onnx/);
    expect(await client.modelReady('loop')).toBe(false);
    const failure = await failureOf(askLoop(client, 1));
    expect(failure.status).toBe('UNAVAILABLE');
    expect(failure.details).toMatch(/^model 'loop' version 1 is not at ready state: .*model\.onnx/);
    const inputs = { a: tensor.fp32([1, 2], [1, 2]), b: tensor.fp32([3, 4], [1, 2]) };
    expect((await client.infer('neighbour', inputs)).output('sum', 'FP32').data).toEqual(Float32Array.of(4, 6));
    fs.renameSync(`${file}.away`, file);
    await vi.waitUntil(async () => (await readReadiness(server)).code === 200, { timeout: 40_000 });
    expect(await askLoop(client, 2)).toBe(2);
  });

  test.each([
    { where: 'one model in a runner of its own', models: ['loop'], runner: undefined },
    { where: 'two models in a common runner', models: ['loop', 'loop-2'], runner: 'common' },
  ])('is started again for ever: $where', async ({ models, runner }) => {
    const config = { ...ONE_INSTANCE, tensorgate: runner === undefined ? {} : { runner } };
    const model = { versions: { 1: loopModel() }, config };
    using repository = new Repository(Object.fromEntries(models.map((name) => [name, model])));
    await using server = await startServer(repository.directory);
    using client = new InferenceClient(server.grpc, { deadlineMs: 40_000 });
    using stock = new StockClient(server.grpc);
    const failedStarts = async (): Promise<number> =>
      (await readMetrics(server))('tensorgate_runner_starts_total', { model: 'loop', outcome: 'failed' });
    // Whatever presses on the machine: each runner is killed as soon as it is there.
    const killing = setInterval(() => killEach(server.runnerPids()), 5);
    try {
      // More than were tried before a model was given up.
      await vi.waitUntil(async () => (await failedStarts()) > 4, { timeout: 30_000 });
      const { text } = await readReadiness(server);
      const reason = /restarting: attempt \d+, (next in \d+ (ms|s)|under way), last: .*killed by SIGKILL/;
      expect(text).toMatch(reason);
      expect(text).toMatch(/^model loop version 1 is UNAVAILABLE: /);
      const { models: index } = await stock.call('RepositoryIndex');
      expect(index[0]).toMatchObject({ name: 'loop', state: 'UNAVAILABLE', reason: expect.stringMatching(reason) });
      expect((await readMetrics(server))('tensorgate_runner_down', { model: 'loop' })).toBe(1);
      // One that has no time to wait is refused at once, with the time until the next start.
      const refusal = await failureOf(askLoop(client, 1, { deadlineMs: 100 }));
      expect(refusal.status).toBe('UNAVAILABLE');
      expect(refusal.details).toMatch(/^model 'loop' version 1 is not at ready state: restarting: /);
      expect(refusal.pushbackMs).toBeGreaterThan(0);
    } finally {
      clearInterval(killing);
    }
    // One that has, waits for the next start.
    expect(await askLoop(client, 2)).toBe(2);
    await vi.waitUntil(async () => (await readReadiness(server)).code === 200, { timeout: 40_000 });
    const metrics = await readMetrics(server);
    expect(metrics('tensorgate_runner_down', { model: 'loop' })).toBe(0);
    expect(metrics('tensorgate_runner_starts_total', { model: 'loop', outcome: 'ok' })).toBeGreaterThan(0);
    expect(server.runnerPids()).toHaveLength(1);
    expect(heldMailboxes(server.pid)).toBe(models.length);
    expect(namedMailboxes(server.pid)).toEqual([]);
  });
});

test('a gateway that is killed under load leaves no runner and no mailbox behind', async () => {
  using repository = loopRepository();
  await using server = new ServerProcess(repository.directory);
  const traffic = new Traffic(await server.ready, { iterations: 1_000, inFlight: 64 });
  await traffic.more(200);
  const runners = server.runnerPids();
  expect(runners).toHaveLength(2);
  server.kill('SIGKILL');
  expect(await server.ended).toEqual({ code: null, signal: 'SIGKILL' });
  await vi.waitUntil(() => !runners.some(isAlive), { timeout: 5_000, interval: 10 });
  expect(server.groupPids()).toEqual([]);
  expect(namedMailboxes(server.pid)).toEqual([]);
  await traffic.stop();
});
