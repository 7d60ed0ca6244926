import { expect, test } from 'vitest';
import { Tally } from '../../src/bench/tally.ts';

test('percentiles are latencies that occurred: the least that the share does not exceed', () => {
  const tally = new Tally();
  for (let latency = 100; latency >= 1; latency--) tally.answered(latency, 0);
  expect(tally.latency()).toEqual({ mean: 50.5, p50: 50, p90: 90, p95: 95, p99: 99, p999: 100, max: 100 });
});

test('without answers there is no latency', () => {
  const tally = new Tally();
  tally.failed('UNAVAILABLE', 'no server');
  expect(tally.latency()).toBeUndefined();
  expect(tally.calls).toBe(1);
});

test('failures are counted by status, the most frequent first, with the text of the first', () => {
  const tally = new Tally();
  tally.failed('UNAVAILABLE', 'breaker open');
  tally.failed('RESOURCE_EXHAUSTED', 'queue full');
  tally.failed('RESOURCE_EXHAUSTED', 'queue full');
  expect(Object.entries(tally.failures)).toEqual([
    ['RESOURCE_EXHAUSTED', 2],
    ['UNAVAILABLE', 1],
  ]);
  expect(tally.firstFailure).toBe('breaker open (UNAVAILABLE)');
});

test('the spread is between the fifths of a level, and absent if a fifth has no answer', () => {
  const tally = new Tally();
  for (let at = 0; at < 1_000; at += 10) tally.answered(at < 200 ? 5 : 10, at);
  expect(tally.spread(1_000)).toEqual({
    answeredPerS: { min: 100, max: 100 },
    p50Ms: { min: 5, max: 10 },
    p99Ms: { min: 5, max: 10 },
  });
  expect(tally.spread(2_000)).toBeUndefined();
});

test('the tallies of several processes add up', () => {
  const [one, other] = [new Tally(), new Tally()];
  one.answered(10, 0);
  one.sentAfter(50);
  other.answered(20, 0);
  other.sentAfter(0);
  other.failed('UNAVAILABLE', 'draining');
  const sum = Tally.sum([one.record, other.record]);
  expect(sum).toMatchObject({ calls: 3, answers: 2, firstFailure: 'draining (UNAVAILABLE)' });
  expect(sum.latency()).toMatchObject({ p50: 10, max: 20 });
  expect(sum.shareSentAfter(10)).toBe(0.5);
  expect(sum.failures).toEqual({ UNAVAILABLE: 1 });
});
