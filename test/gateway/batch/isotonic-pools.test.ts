import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IsotonicPools } from '../../../src/gateway/batch/isotonic-pools.ts';

type Weighted = readonly [value: number, weight: number];

function isotonic(values: readonly Weighted[]): number[] {
  const pools = new IsotonicPools();
  // What an earlier use left behind must not matter.
  for (let value = 9; value > 0; value--) pools.add(value, 1);
  pools.clear();
  for (const [value, weight] of values) pools.add(value, weight);
  let pool = 0;
  return values.map((_, index) => {
    if (index >= pools.endOf(pool)) pool++;
    return pools.meanOf(pool);
  });
}

test('values that rise stay as they are, and those that fall take their weighted mean', () => {
  expect(
    isotonic([
      [1, 1],
      [3, 1],
      [2, 3],
      [5, 1],
    ]),
  ).toEqual([1, 2.25, 2.25, 5]);
  expect(
    isotonic([
      [4, 1],
      [3, 1],
      [2, 1],
      [2.5, 1],
    ]),
  ).toEqual([2.875, 2.875, 2.875, 2.875]);
});

test('no other values that never fall are nearer', () => {
  const weighted = fc.tuple(
    fc.double({ min: 0, max: 100, noNaN: true }),
    fc.double({ min: 0.1, max: 10, noNaN: true }),
  );
  const rising = fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 12, maxLength: 12 });
  fc.assert(
    fc.property(fc.array(weighted, { minLength: 1, maxLength: 12 }), rising, (values, others) => {
      const fitted = isotonic(values);
      for (let index = 1; index < fitted.length; index++) {
        expect(fitted[index]).toBeGreaterThanOrEqual(fitted[index - 1] ?? 0);
      }
      const distance = (fit: readonly number[]): number =>
        values.reduce((sum, [value, weight], index) => sum + weight * (value - (fit[index] ?? 0)) ** 2, 0);
      const other = others.slice(0, values.length).sort((a, b) => a - b);
      expect(distance(fitted)).toBeLessThanOrEqual(distance(other) + 1e-6);
    }),
  );
});
