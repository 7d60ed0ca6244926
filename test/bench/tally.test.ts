import { expect, test } from 'vitest';
import { Tally } from '../../src/bench/tally.ts';

test('percentiles are latencies that occurred: the least that the share does not exceed', () => {
  const tally = new Tally();
  for (let latency = 100; latency >= 1; latency--) tally.answered(latency);
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
