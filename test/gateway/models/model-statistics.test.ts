import { expect, test } from 'vitest';
import type { Batch } from '../../../src/gateway/batch/batch.ts';
import type { QueuedRequest } from '../../../src/gateway/batch/queued-request.ts';
import { ModelStatistics } from '../../../src/gateway/models/model-statistics.ts';
import { fp32Rows, queuedRequest } from '../../support/queued-requests.ts';

const TIMING = { queueMs: 1, inputMs: 2, computeMs: 3, outputMs: 4, batchRows: 6 };

function batch(rows: number): Batch {
  return { requests: [queuedRequest(fp32Rows(rows))], rows, reason: 'idle' };
}

test('each request is charged the whole run of its batch, and the compute counts stay equal', () => {
  const statistics = new ModelStatistics();
  statistics.recordSuccess(2, TIMING, 11);
  statistics.recordSuccess(4, TIMING, 12);
  expect(statistics).toMatchObject({
    inferenceCount: 6,
    success: { count: 2, ms: 23 },
    queue: { count: 2, ms: 2 },
    input: { count: 2, ms: 4 },
    compute: { count: 2, ms: 6 },
    output: { count: 2, ms: 8 },
    fail: { count: 0, ms: 0 },
  });
});

test('a request without a run of its own counts as answered, and in nothing that a run is charged for', () => {
  const statistics = new ModelStatistics();
  const nothing = { queueMs: 5, inputMs: 0, computeMs: 0, outputMs: 0, batchRows: 0 };
  statistics.recordSuccess(2, { ...TIMING, cache: { outcome: 'miss', ms: 0.5 } }, 11);
  statistics.recordSuccess(2, { ...nothing, cache: { outcome: 'hit', ms: 0.25 } }, 1);
  statistics.recordSuccess(2, { ...nothing, cache: { outcome: 'joined', ms: 0.25 } }, 9);
  expect(statistics).toMatchObject({
    inferenceCount: 2,
    success: { count: 3, ms: 21 },
    queue: { count: 3, ms: 11 },
    input: { count: 1 },
    compute: { count: 1 },
    output: { count: 1 },
    cacheHit: { count: 2, ms: 0.5 },
    cacheMiss: { count: 1, ms: 0.5 },
  });
});

test('a failure counts as one, and in nothing else', () => {
  const statistics = new ModelStatistics();
  statistics.recordFailure(5, 'invalid_request');
  expect(statistics).toMatchObject({ inferenceCount: 0, fail: { count: 1, ms: 5 }, success: { count: 0, ms: 0 } });
  expect(statistics.lastInferenceMs).toBeGreaterThan(0);
});

test('failures are distinguished by their cause', () => {
  const statistics = new ModelStatistics();
  for (const reason of [
    'queue_full',
    'deadline_exceeded',
    'cancelled',
    'runner_killed_twice',
    'invalid_request',
  ] as const) {
    statistics.recordFailure(1, reason);
  }
  expect(statistics.failures).toMatchObject({
    REJECTED: { count: 2 },
    CANCELED: { count: 1 },
    BACKEND: { count: 1 },
    OTHER: { count: 1 },
  });
  expect(statistics.fail).toEqual({ count: 5, ms: 5 });
});

test('a run is charged once, under the size that was executed', () => {
  const statistics = new ModelStatistics();
  const ok = { kind: 'ok', outputs: [], inputMs: 1, computeMs: 2, outputMs: 3 } as const;
  statistics.recordBatch(batch(4), ok);
  statistics.recordBatch(batch(4), ok);
  statistics.recordBatch(batch(1), ok);
  expect(statistics.executionCount).toBe(3);
  expect([...statistics.batches.values()].map(({ rows, compute }) => [rows, compute.count, compute.ms])).toEqual([
    [4, 2, 4],
    [1, 1, 2],
  ]);
});

test('a run that was refused, failed or crashed is no execution', () => {
  const statistics = new ModelStatistics();
  statistics.recordBatch(batch(1), { kind: 'refused', message: '' });
  statistics.recordBatch(batch(1), { kind: 'failed', error: undefined });
  statistics.recordBatch(batch(1), { kind: 'crashed', cause: '' });
  expect(statistics.executionCount).toBe(0);
  expect(statistics.batches.size).toBe(0);
});

test('padding is counted along the length axis, in batches that ended well', () => {
  const lengths = { inputs: new Map([[0, { axis: 1, filler: new Uint8Array(4) }]]), mask: 0, outputs: new Map() };
  const of = (rows: number, length: number): QueuedRequest => {
    return queuedRequest({ ...fp32Rows(rows), shapes: [[rows, length]] });
  };
  const mixed: Batch = { requests: [of(2, 5), of(1, 8)], rows: 3, reason: 'idle' };
  const alone: Batch = { requests: [of(2, 5)], rows: 2, reason: 'idle' };
  const ok = { kind: 'ok', outputs: [], inputMs: 1, computeMs: 1, outputMs: 1 } as const;
  const statistics = new ModelStatistics();
  statistics.recordBatch(mixed, ok, lengths);
  statistics.recordBatch(alone, ok, lengths);
  statistics.recordBatch(mixed, { kind: 'refused', message: '' }, lengths);
  statistics.recordBatch(mixed, ok);
  expect(statistics.padding).toEqual({ padded: 6, computed: 34 });
});
