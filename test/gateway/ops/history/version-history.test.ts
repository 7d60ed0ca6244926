import { expect, test } from 'vitest';
import { POINT_MS, POINTS, VersionHistory } from '../../../../src/gateway/ops/history/version-history.ts';
import { batchEnded, inferenceEnded } from '../fake-events.ts';

function historyAt(startMs = 1_000_000_000_000) {
  let nowMs = startMs;
  const history = new VersionHistory(() => nowMs);
  return {
    history,
    pass: (ms: number) => (nowMs += ms),
    answer: (durationMs: number) => history.recordInference(inferenceEnded({ durationMs })),
  };
}

test('48 points are kept, and older ones are forgotten', () => {
  const { history, pass, answer } = historyAt();
  for (let point = 0; point < POINTS + 10; point++) {
    answer(4);
    pass(POINT_MS);
  }
  const { points, outcomes } = history.figures;
  expect(points.length).toBeLessThanOrEqual(POINTS);
  expect(points.length).toBeGreaterThan(POINTS - 2);
  expect(outcomes.get('none')).toBe(POINTS + 10);
  const slots = points.map(({ slot }) => slot);
  expect(slots).toEqual(slots.toSorted((a, b) => a - b));
});

test('a point counts answers, refusals and failures, but no mistakes of callers', () => {
  const { history, answer } = historyAt();
  answer(4);
  history.recordInference(inferenceEnded({ reason: 'cannot_meet_deadline', queueMs: undefined }));
  history.recordInference(inferenceEnded({ reason: 'deadline_exceeded', queueMs: undefined }));
  history.recordInference(inferenceEnded({ reason: 'cancelled', queueMs: undefined }));
  const { points, outcomes } = history.figures;
  expect(points).toMatchObject([{ answered: 1, refused: 1, failed: 1 }]);
  expect(Object.fromEntries(outcomes)).toEqual({
    none: 1,
    cannot_meet_deadline: 1,
    deadline_exceeded: 1,
    cancelled: 1,
  });
});

test('a quantile is at most 5 % too long, where the buckets of Prometheus say only "up to 100 ms"', () => {
  const { history, answer } = historyAt();
  for (let ms = 1; ms <= 100; ms++) answer(ms);
  const { p50 = 0, p99 = 0, count = 0 } = history.figures.latency ?? {};
  expect(count).toBe(100);
  expect(p50).toBeGreaterThanOrEqual(50);
  expect(p50).toBeLessThan(50 * 1.051);
  expect(p99).toBeGreaterThanOrEqual(99);
  expect(p99).toBeLessThan(99 * 1.051);
});

test('latencies are of the last minute, rates of the last half minute', () => {
  const { history, pass, answer } = historyAt();
  for (let each = 0; each < 60; each++) answer(500);
  pass(20_000);
  answer(2);
  expect(history.figures.rates.answered).toBeCloseTo(61 / 20, 1);
  pass(55_000);
  answer(2);
  const { latency, rates } = history.figures;
  expect(latency?.count).toBe(2);
  expect(latency?.p99).toBeLessThan(2.2);
  expect(rates.answered).toBeLessThan(0.1);
  pass(10 * 60_000);
  expect(history.figures.latency).toBeUndefined();
  expect(history.figures.rates.answered).toBe(0);
  expect(history.figures.points).toEqual([]);
});

test('requests that wait are the time that all of them waited over the time that passed', () => {
  const { history } = historyAt();
  for (let each = 0; each < 10; each++) history.recordInference(inferenceEnded({ queueMs: POINT_MS }));
  expect(history.figures.points[0]?.waiting).toBe(10);
});

test('runs keep predicted beside real time, and the share of those that took no longer', () => {
  const { history } = historyAt();
  for (let run = 0; run < 200; run++) {
    history.recordBatch(batchEnded({ rows: 3, elapsedMs: run < 50 ? 12 : 9, predictedMs: 10, startedAtMs: run }));
  }
  history.recordBatch(batchEnded({ outcome: 'crashed', reason: 'alone', rows: 1 }));
  const { runs, withinPrediction, sizes, sent, rows } = history.figures;
  expect(runs).toHaveLength(160);
  expect(runs[0]).toEqual({ atMs: 40, rows: 3, predictedMs: 10, ms: 12 });
  expect(runs.at(-1)?.atMs).toBe(199);
  expect(withinPrediction).toBe(0.75);
  expect(Object.fromEntries(sizes)).toEqual({ 1: 1, 4: 200 });
  expect(Object.fromEntries(sent)).toEqual({ full: 200, alone: 1 });
  expect(rows).toBe(601);
});

test('a clock that is set back loses nothing', () => {
  const { history, pass, answer } = historyAt();
  answer(4);
  pass(-3_600_000);
  answer(4);
  expect(history.figures.outcomes.get('none')).toBe(2);
});
