import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exceeds } from '../../../src/gateway/rollout/significance.ts';

/** The probability of `count` or more of `total`, summed term by term. */
function tail(count: number, total: number, rate: number): number {
  let term = (1 - rate) ** total;
  let below = 0;
  for (let at = 0; at < count; at++) {
    below += term;
    term *= ((total - at) / (at + 1)) * (rate / (1 - rate));
  }
  return 1 - below;
}

describe('what exceeds a rate beyond chance', () => {
  test.each([
    [0, 50, 0.01, false],
    [1, 50, 0.01, false],
    [3, 50, 0.01, false],
    [5, 50, 0.01, true],
    [1, 1, 0.01, false],
    [2, 2, 0.01, true],
    [1, 1_000_000, 0, true],
    [100, 100, 1, false],
    [10_000, 1_000_000, 0.01, false],
    [10_400, 1_000_000, 0.01, true],
    [20_000, 1_000_000, 0.01, true],
  ])('%i of %i where %d may: %s', (count, total, rate, expected) => {
    expect(exceeds(count, total, rate)).toBe(expected);
  });

  test('is what the exact test says', () => {
    const cases = fc.record({
      total: fc.integer({ min: 1, max: 200 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      rate: fc.double({ min: 0.001, max: 0.9, noNaN: true }),
    });
    fc.assert(
      fc.property(cases, ({ total, share, rate }) => {
        const count = Math.round(total * share);
        const probability = tail(count, total, rate);
        // Where rounding decides, neither is wrong; below the mean it is not asked.
        fc.pre(Math.abs(probability - 0.001) > 1e-9);
        expect(exceeds(count, total, rate)).toBe(count > total * rate && probability < 0.001);
      }),
      { numRuns: 2_000 },
    );
  });

  test('never becomes less by one more, or at a lower rate', () => {
    const cases = fc.tuple(
      fc.integer({ min: 1, max: 100_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
    );
    fc.assert(
      fc.property(cases, ([total, share, rate]) => {
        const count = Math.floor(total * share);
        if (!exceeds(count, total, rate)) return;
        expect(exceeds(Math.min(total, count + 1), total, rate)).toBe(true);
        expect(exceeds(count, total, rate / 2)).toBe(true);
      }),
    );
  });
});
