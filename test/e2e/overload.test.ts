/** Refusals of a model that has more requests than it can answer: the same through every door, whether they are decoded or not. */

import { describe, expect, test } from 'vitest';
import { InferenceError, tensor } from '../../src/client/inference-client.ts';
import { readMetrics } from '../faults/observation.ts';
import { DOORS } from '../support/caller.ts';
import { slowModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';

const CALLS = 150;
/** About 100 ms a run, of one request: also on a busy machine all calls are sent long before their deadline. */
const ITERATIONS = 8_000;
/** A deadline in runs: however fast this machine is, most of the calls are too many for it. */
const RUNS_IN_TIME = 8;
const BY_DEADLINE =
  /^cannot be answered in time: about [\d.]+ ms of work go before it and it needs [\d.]+ ms, [\d.]+ ms are left$/;
const BY_OBJECTIVE =
  /^the model has more requests than it can answer within its objective of [\d.]+ ms \(objective_ms\): about [\d.]+ ms of work go before this one$/;

const busy = {
  versions: { 1: slowModel(ITERATIONS) },
  config: { instance_group: [{ count: 1 }], max_batch_size: 1, tensorgate: { objective_ms: 1_000 } },
};
const fixture = useServer({ busy });

describe('more calls at once than a model can answer in time are refused', () => {
  test.each(DOORS)('through $name, at once and with a pushback, and counted', async ({ name, hasStatus, connect }) => {
    using caller = connect(fixture.server);
    const inputs = { input: tensor.fp32([1], [1, 1]) };
    let runMs = Number.POSITIVE_INFINITY;
    for (let call = 0; call < 5; call++) {
      const sentAt = performance.now();
      await caller.infer('busy', inputs);
      runMs = Math.min(runMs, performance.now() - sentAt);
    }
    // Only a unary call has a deadline of its own here; the others have the objective.
    const deadlineMs = name === 'unary gRPC' ? RUNS_IN_TIME * runMs : 60_000;
    const before = await refusals();
    const outcomes = await Promise.allSettled(
      Array.from({ length: CALLS }, () => caller.infer('busy', inputs, { deadlineMs })),
    );
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    const refused = errors.filter(({ details }) => BY_DEADLINE.test(details) || BY_OBJECTIVE.test(details));
    expect(refused.length).toBeGreaterThan(CALLS / 2);
    for (const error of refused) {
      expect(error).toBeInstanceOf(InferenceError);
      if (!hasStatus) continue;
      expect(error.status).toBe('RESOURCE_EXHAUSTED');
      expect(error.pushbackMs).toBeGreaterThanOrEqual(10);
    }
    expect((await refusals()) - before).toBe(refused.length);
  });
});

/** As metrics count them. */
async function refusals(): Promise<number> {
  const metrics = await readMetrics(fixture.server);
  const counted = (reason: string): number => metrics('tensorgate_requests_total', { model: 'busy', reason });
  return counted('cannot_meet_deadline') + counted('overloaded');
}
