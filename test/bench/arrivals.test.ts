import { expect, test } from 'vitest';
import { type Arrivals, gapMs } from '../../src/bench/arrivals.ts';
import { seeded } from '../../src/bench/random.ts';

test.each<[Arrivals, number]>([
  ['poisson', 1],
  ['gamma', 2],
])('gaps of %s have the mean of the rate and a coefficient of variation of %d', (arrivals, variation) => {
  const random = seeded(7);
  const gaps = Array.from({ length: 100_000 }, () => gapMs(arrivals, 200, random));
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  expect(mean).toBeGreaterThan(5 * 0.97);
  expect(mean).toBeLessThan(5 * 1.03);
  expect(Math.sqrt(variance) / mean / variation).toBeGreaterThan(0.95);
  expect(Math.sqrt(variance) / mean / variation).toBeLessThan(1.05);
});
