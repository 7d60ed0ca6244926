import { expect, test } from 'vitest';
import { Pace } from '../../../src/gateway/accept/pace.ts';

/** A second of slack, a byte a millisecond. */
function pace(): Pace {
  return new Pace({ graceMs: 1_000, minBytesPerSecond: 1_000 }, 0, 0);
}

test('bytes that come as fast as they must are never late', () => {
  const steady = pace();
  for (let now = 100; now <= 60_000; now += 100) expect(steady.isLate(now, now)).toBe(false);
});

test('a peer that stands still is late when its slack is used up', () => {
  const silent = pace();
  expect(silent.isLate(0, 1_000)).toBe(false);
  expect(silent.isLate(0, 1_001)).toBe(true);
});

test('a byte now and then keeps nothing alive', () => {
  const dripping = pace();
  const moments = Array.from({ length: 20 }, (_, index) => 100 * (index + 1));
  expect(moments.map((now, index) => dripping.isLate(index + 1, now)).indexOf(true)).toBe(10);
});

test('bytes that came fast earlier do not pay for standing still for longer than the slack', () => {
  const burst = pace();
  expect(burst.isLate(1_000_000, 100)).toBe(false);
  expect(burst.isLate(1_000_000, 1_100)).toBe(false);
  expect(burst.isLate(1_000_000, 1_101)).toBe(true);
});

test('time for which the peer is not to blame does not count', () => {
  const excused = pace();
  excused.excuse(5_000);
  expect(excused.isLate(0, 6_000)).toBe(false);
  expect(excused.isLate(0, 6_001)).toBe(true);
});
