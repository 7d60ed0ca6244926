import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { CallOutcome } from '../../src/bench/call-target.ts';
import { type LevelPlan, runLevel } from '../../src/bench/level.ts';
import { OwnLoad } from '../../src/bench/load-sender.ts';
import { type ServerCounters, serverWork } from '../../src/bench/statistics.ts';

const OK: CallOutcome = { status: 'OK', details: '' };
const NO_COUNTERS = async () => undefined;

function planOf(call: () => Promise<CallOutcome>, sloMs: number): LevelPlan {
  return {
    sender: new OwnLoad([call]),
    warmUpMs: 0,
    durationMs: 200,
    deadlineMs: 5_000,
    slo: { ms: sloMs, share: 0.99 },
    counters: NO_COUNTERS,
  };
}

test('answers within the SLO meet it', async () => {
  const result = await runLevel(
    { kind: 'closed', concurrency: 2 },
    planOf(() => delay(5, OK), 60_000),
  );
  expect(result.slo).toEqual({ withinShare: 1, verdict: 'met' });
  expect(result.answeredPerS).toBeCloseTo(result.answered / 0.2);
  expect(result.goodputPerS).toBe(result.answeredPerS);
});

test('failed calls miss the SLO however fast they fail', async () => {
  const refused = { status: 'UNAVAILABLE', details: 'draining' };
  const result = await runLevel(
    { kind: 'open', ratePerS: 100, arrivals: 'poisson' },
    planOf(() => delay(1, refused), 60_000),
  );
  expect(result).toMatchObject({
    answered: 0,
    goodputPerS: 0,
    latencyMs: null,
    firstFailure: 'draining (UNAVAILABLE)',
  });
  expect(result.slo?.withinShare).toBe(0);
  expect(result.slo?.verdict).not.toBe('met');
});

test('a client that has no time reports itself instead of latencies, and does not blame the server', async () => {
  const busy = async (): Promise<CallOutcome> => {
    const end = performance.now() + 20;
    while (performance.now() < end);
    await new Promise((resolve) => setImmediate(resolve));
    return OK;
  };
  const result = await runLevel({ kind: 'closed', concurrency: 4 }, { ...planOf(busy, 1), durationMs: 1_000 });
  expect(result.latencyMs).toBeNull();
  expect(result.client.bottleneck).toMatch(/^its event loop was busy \d+ % of the time$/);
  expect(result.slo?.verdict).toBe('unknown');
});

const counters = (requests: number, rows: number, batches: number, ns: number): ServerCounters => ({
  requests,
  rows,
  batches,
  queueNs: ns,
  inputNs: 0,
  inferNs: 2 * ns,
  outputNs: 0,
});

test('the work of the server is the difference of its counters', () => {
  expect(serverWork(counters(10, 10, 10, 1e6), counters(30, 50, 20, 41e6))).toEqual({
    requests: 20,
    rowsPerBatch: 4,
    queueMs: 2,
    inputMs: 0,
    inferMs: 4,
    outputMs: 0,
  });
});

test('counters that fell say nothing of the window', () => {
  expect(serverWork(counters(30, 30, 30, 1), counters(5, 5, 5, 1))).toBeUndefined();
});
