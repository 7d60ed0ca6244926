/** More than the server can do: exactly that is refused, at once, and the rest is answered as before. */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { InferenceClient, InferenceError } from '../../src/client/inference-client.ts';
import { loopModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { askLoop, failureOf, loopInputs } from './loop-requests.ts';
import { readMetrics } from './observation.ts';
import { Stall, untilHeld } from './stall.ts';

const ONE_INSTANCE = { instance_group: [{ count: 1 }] };
const PATIENT = { deadlineMs: 20_000 };

/** A server of the loop model, with a configuration of its own. */
async function startLoop(
  config: object,
  flags: readonly string[] = [],
): Promise<AsyncDisposable & { server: TestServer }> {
  const repository = new Repository({ loop: { versions: { 1: loopModel() }, config: { ...ONE_INSTANCE, ...config } } });
  const server = await startServer(repository.directory, { flags });
  return {
    server,
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      repository[Symbol.dispose]();
    },
  };
}

interface Outcome {
  /** Its answer is checked already. */
  readonly refusal: InferenceError | undefined;
  readonly tookMs: number;
}

/** One request, answered with its own value or refused. */
async function attempt(client: InferenceClient, value: number, iterations = 0): Promise<Outcome> {
  const askedAt = performance.now();
  try {
    expect(await askLoop(client, value, { iterations, ...PATIENT })).toBe(value);
    return { refusal: undefined, tookMs: performance.now() - askedAt };
  } catch (error) {
    if (!(error instanceof InferenceError)) throw error;
    return { refusal: error, tookMs: performance.now() - askedAt };
  }
}

/** Nothing waits, nothing runs, and nothing is charged for. */
async function expectQuiet(server: TestServer): Promise<void> {
  await untilHeld(server, 0, 0);
  const metrics = await readMetrics(server);
  expect(metrics('tensorgate_in_flight_requests')).toBe(0);
  expect(metrics('tensorgate_in_flight_bytes')).toBe(0);
  expect(metrics('tensorgate_queue_depth', { model: 'loop' })).toBe(0);
  expect(metrics('tensorgate_queue_rows', { model: 'loop' })).toBe(0);
}

/**
 * Sends `count` requests to a server whose instance is busy, and lets it go on once all but `waiting` have been refused.
 * Gives the refusals, which have to be quick.
 */
async function overload(server: TestServer, client: InferenceClient, count: number): Promise<InferenceError[]> {
  await using stall = await Stall.begin(server, client);
  const refusals: InferenceError[] = [];
  let over = 0;
  const outcomes = Array.from({ length: count }, async (_, value) => {
    const { refusal, tookMs } = await attempt(client, value);
    over++;
    if (refusal === undefined) return;
    expect(tookMs).toBeLessThan(500);
    refusals.push(refusal);
  });
  // Everything was taken, or refused, and the refusals have come: answers of one connection may overtake each other.
  await untilHeld(server, () => count - refusals.length, 1);
  const refusedWhileBusy = refusals.length;
  expect(over).toBe(refusedWhileBusy);
  expect(await stall.end()).toBe(-1);
  await Promise.all(outcomes);
  expect(refusals).toHaveLength(refusedWhileBusy);
  return refusals;
}

describe('while the instance is busy', () => {
  test('exactly those that come after max_queue_size are refused, and given a time to retry', async () => {
    await using started = await startLoop({ dynamic_batching: { default_queue_policy: { max_queue_size: 8 } } });
    const { server } = started;
    using client = new InferenceClient(server.grpc, PATIENT);
    for (const beyond of [1, 5, 40]) {
      const refusals = await overload(server, client, 8 + beyond);
      expect(refusals).toHaveLength(beyond);
      for (const { status, details, pushbackMs } of refusals) {
        expect(status).toBe('RESOURCE_EXHAUSTED');
        expect(details).toBe('Exceeds maximum queue size: 8 requests wait (max_queue_size)');
        expect(pushbackMs).toBeGreaterThanOrEqual(10);
        expect(pushbackMs).toBeLessThan(10_000);
      }
      await expectQuiet(server);
    }
    const metrics = await readMetrics(server);
    expect(metrics('tensorgate_requests_total', { model: 'loop', reason: 'queue_full' })).toBe(46);
  });

  test('the bytes of what waits are bounded as well, by max_queue_bytes', async () => {
    // A row is an INT64 and an FP32.
    await using started = await startLoop({ tensorgate: { max_queue_bytes: 5 * 12 } });
    const { server } = started;
    using client = new InferenceClient(server.grpc, PATIENT);
    const refusals = await overload(server, client, 5 + 3);
    expect(refusals).toHaveLength(3);
    for (const { status, details, pushbackMs } of refusals) {
      expect(status).toBe('RESOURCE_EXHAUSTED');
      expect(details).toMatch(/60 of 60 bytes wait, 12 more do not fit \(max_queue_bytes\)$/);
      expect(pushbackMs).toBeGreaterThanOrEqual(10);
    }
    await expectQuiet(server);
  });

  test('the server as a whole takes no more than maxInFlightBytes, and says so', async () => {
    await using started = await startLoop({}, ['--max-in-flight-bytes', '1000']);
    const { server } = started;
    using client = new InferenceClient(server.grpc, PATIENT);
    const refusals = await overload(server, client, 100);
    // A request is a message of about 70 bytes.
    expect(100 - refusals.length).toBeGreaterThan(5);
    expect(100 - refusals.length).toBeLessThan(20);
    for (const { status, details, pushbackMs } of refusals) {
      expect(status).toBe('RESOURCE_EXHAUSTED');
      expect(details).toMatch(
        /^the server holds \d+ of 1000 bytes \(maxInFlightBytes\): \d+ more of this request do not fit$/,
      );
      expect(pushbackMs).toBeGreaterThanOrEqual(50);
    }
    await expectQuiet(server);
    // One that would never fit is refused also when nothing is there.
    const id = 'x'.repeat(1_000);
    const failure = await failureOf(client.infer('loop', loopInputs(1), { id }));
    expect(failure.status).toBe('RESOURCE_EXHAUSTED');
    expect(await askLoop(client, 1)).toBe(1);
  });
});

test('in a flood of five times what can be done each call is answered rightly, or refused with a time to come back', async () => {
  // About 50 ms for 4 rows: the instance is the limit, and neither the gateway nor these callers.
  const iterations = 1_000;
  const rows = 4;
  const queued = 16;
  await using started = await startLoop({
    max_batch_size: rows,
    dynamic_batching: { default_queue_policy: { max_queue_size: queued } },
  });
  const { server } = started;
  using client = new InferenceClient(server.grpc, PATIENT);

  /** Answers and refusals of so many callers, who come back after their pushback. `bench/` measures the effect on goodput. */
  async function run(callers: number, ms: number): Promise<{ readonly answered: number; readonly refused: number }> {
    let answered = 0;
    let refused = 0;
    const startedAt = performance.now();
    const call = async (_: unknown, caller: number): Promise<void> => {
      while (performance.now() < startedAt + ms) {
        const { refusal } = await attempt(client, caller, iterations);
        if (refusal === undefined) {
          answered++;
          continue;
        }
        refused++;
        expect(refusal.status).toBe('RESOURCE_EXHAUSTED');
        expect(refusal.pushbackMs).toBeGreaterThan(0);
        await sleep(refusal.pushbackMs);
      }
    };
    await Promise.all(Array.from({ length: callers }, call));
    return { answered, refused };
  }

  expect(await run(queued, 1_500)).toMatchObject({ refused: 0 });
  const flood = await run(5 * (queued + rows), 3_000);
  expect(flood.answered).toBeGreaterThan(queued);
  expect(flood.refused).toBeGreaterThan(100);
  await expectQuiet(server);
});
