/** Requests that break the batch they ride in: only they fail. */

import { describe, expect, test } from 'vitest';
import { type InferenceError, tensor } from '../../src/client/inference-client.ts';
import { type Caller, DOORS } from '../support/caller.ts';
import { gatherModel, loopModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { askLoop, failureOf, LONG, UNTIL_KILLED } from './loop-requests.ts';
import { readMetrics } from './observation.ts';
import { killInBatch, Stall, untilHeld } from './stall.ts';

const VOCABULARY = 50;
const ONE_INSTANCE = { instance_group: [{ count: 1 }] };

describe.each(DOORS)('over $name, a row that the model refuses', ({ connect, hasStatus }) => {
  /** A row of the gather model; the answer to each index is three elements, and the first is 3 · index. */
  async function lookUp(client: Caller, index: number): Promise<void> {
    const result = await client.infer('gather', { indices: tensor.int64([BigInt(index), 1n], [1, 2]) });
    const rows = result.output('rows', 'FP32');
    expect(rows.shape).toEqual([1, 2, 3]);
    expect([...rows.data]).toEqual([0, 1, 2].map((lane) => 3 * index + lane).concat(3, 4, 5));
  }

  test('fails by itself: in each of 100 batches of 32, the 31 others are answered exactly', async () => {
    // A long delay, and a size that is sent at once: the 32 requests of a round are one batch.
    const batching = { preferred_batch_size: [32], max_queue_delay_microseconds: 5_000_000 };
    using repository = new Repository({
      gather: {
        versions: { 1: gatherModel(VOCABULARY) },
        config: { ...ONE_INSTANCE, max_batch_size: 32, dynamic_batching: batching },
      },
    });
    await using server = await startServer(repository.directory);
    using client = connect(server);

    for (let round = 0; round < 100; round++) {
      const bad = (round * 7) % 32;
      const index = round % 2 === 0 ? VOCABULARY + round : -VOCABULARY - 1 - round;
      const calls = Array.from({ length: 32 }, (_, row) =>
        lookUp(client, row === bad ? index : (row + round) % VOCABULARY),
      );
      const failure = await failureOf(calls[bad] ?? Promise.resolve());
      if (hasStatus) expect(failure.status).toBe('INVALID_ARGUMENT');
      expect(failure.details).toMatch(/^the model refused this input: .*indices element out of data bounds/);
      // The text names the value that the caller sent, and nothing of how this server is built.
      expect(failure.details).not.toMatch(/\.cc|\/|0x/);
      await Promise.all(calls.filter((_, row) => row !== bad));
    }

    const metrics = await readMetrics(server);
    expect(metrics('tensorgate_requests_total', { model: 'gather', status: 'OK' })).toBe(3_100);
    expect(metrics('tensorgate_requests_total', { model: 'gather', reason: 'invalid_data' })).toBe(100);
    // A batch of 32 is halved five times; each time the half with the bad row fails, and the other one does not.
    const refused = { model: 'gather', outcome: 'refused' };
    expect(metrics('tensorgate_batches_total', { ...refused, reason: 'preferred' })).toBe(100);
    expect(metrics('tensorgate_batches_total', { ...refused, reason: 'alone' })).toBe(500);
    expect(metrics('tensorgate_batches_total', { model: 'gather', outcome: 'ok' })).toBe(500);
    // What a caller caused opens no breaker, and kills no runner.
    expect(metrics('tensorgate_breaker_state', { model: 'gather' })).toBe(0);
    expect(metrics('tensorgate_runner_restarts_total')).toBe(0);
  });
});

/** Kills the runner while exactly `running` requests are in it, and `waiting` wait. */
function killWhile(server: TestServer, waiting: number, running: number): Promise<void> {
  return killInBatch(server, 'SIGSEGV', (held) => held.waiting === waiting && held.running === running);
}

describe.each(DOORS)('over $name, a request under which the runner dies', ({ connect, hasStatus, name }) => {
  async function startLoop(repository: Repository, maxBatchSize: number): Promise<TestServer> {
    // Otherwise a noisy warm-up may say that half of the rows are cheaper for each row.
    const dynamic_batching = { preferred_batch_size: [maxBatchSize] };
    const config = { ...ONE_INSTANCE, max_batch_size: maxBatchSize, dynamic_batching };
    repository.add('loop', { versions: { 1: loopModel() }, config });
    return await startServer(repository.directory);
  }

  test('twice gets INTERNAL, and those beside it are answered', async () => {
    using repository = new Repository();
    await using server = await startLoop(repository, 8);
    using client = connect(server);
    await using stall = await Stall.begin(server, client);
    // These wait behind the first, and then are one batch.
    const poison = failureOf(askLoop(client, 100, { iterations: UNTIL_KILLED }));
    await untilHeld(server, 1, 1);
    const neighbours = Array.from({ length: 7 }, (_, index) => askLoop(client, index));
    await untilHeld(server, 8, 1);
    expect(await stall.end()).toBe(-1);
    await killWhile(server, 0, 8);
    // Now each runs by itself, the poison first.
    await killWhile(server, 7, 1);
    const failure = await poison;
    if (hasStatus) expect(failure.status).toBe('INTERNAL');
    expect(failure.details).toBe(
      "the model's process ended twice while it ran this request by itself (killed by SIGSEGV)",
    );
    expect(failure.pushbackMs).toBeUndefined();
    expect(await Promise.all(neighbours)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const metrics = await readMetrics(server);
    expect(metrics('tensorgate_requests_total', { model: 'loop', reason: 'runner_killed_twice' })).toBe(1);
    expect(metrics('tensorgate_runner_restarts_total', { runner: 'loop:1' })).toBe(2);
    expect(metrics('tensorgate_breaker_state', { model: 'loop' })).toBe(0);
  });

  test('once is answered by the next one', async () => {
    using repository = new Repository();
    await using server = await startLoop(repository, 8);
    using client = connect(server);
    const answer = askLoop(client, 5, { iterations: LONG });
    await killWhile(server, 0, 1);
    expect(await answer).toBe(5);
  });

  test('again and again opens the breaker: UNAVAILABLE at once with a pushback, until its pause is over', async () => {
    using repository = new Repository();
    await using server = await startLoop(repository, 1);
    using client = connect(server);
    const states: number[] = [];
    // Two deaths each; the fifth opens the breaker. Requests of one moment could change places.
    const poisons: Promise<InferenceError>[] = [];
    for (const value of [1, 2, 3]) {
      poisons.push(failureOf(askLoop(client, value, { iterations: UNTIL_KILLED })));
      await untilHeld(server, value - 1, 1);
    }
    for (let death = 1; death <= 5; death++) {
      states.push((await readMetrics(server))('tensorgate_breaker_state', { model: 'loop' }));
      const waiting = [2, 2, 1, 1, 0][death - 1] ?? 0;
      await killWhile(server, waiting, 1);
    }
    expect(states).toEqual([0, 0, 0, 0, 0]);
    const failures = await Promise.all(poisons);
    if (hasStatus) expect(failures.map(({ status }) => status)).toEqual(['INTERNAL', 'INTERNAL', 'UNAVAILABLE']);
    expect(failures.map(({ details }) => /ended twice/.test(details))).toEqual([true, true, false]);
    expect((await readMetrics(server))('tensorgate_breaker_state', { model: 'loop' })).toBe(2);

    const refusedAt = performance.now();
    const refusal = await failureOf(askLoop(client, 6));
    expect(performance.now() - refusedAt).toBeLessThan(500);
    if (hasStatus) expect(refusal.status).toBe('UNAVAILABLE');
    expect(refusal.details).toMatch(
      /^model 'loop' version 1 failed repeatedly and is given a pause: .*try another replica/,
    );
    // A stream has no trailers for one answer; REST says whole seconds.
    const pushbackMs = refusal.pushbackMs ?? 5_000 * 1.25;
    expect(pushbackMs).toBeGreaterThan(1_000);
    expect(pushbackMs).toBeLessThanOrEqual(name === 'REST' ? 7_000 : 5_000 * 1.25);

    await new Promise((resolve) => setTimeout(resolve, pushbackMs));
    expect(await askLoop(client, 7)).toBe(7);
    expect((await readMetrics(server))('tensorgate_breaker_state', { model: 'loop' })).toBe(0);
  });
});
