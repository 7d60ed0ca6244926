import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linearScale, logScale, spreadOut } from '../../src/compare/page/scale.ts';

const value = fc.integer({ min: -1_000_000, max: 1_000_000 }).map((thousandths) => thousandths / 1000);
const values = fc.array(value, { minLength: 1, maxLength: 20 });

describe('an axis', () => {
  test('holds all values between its first and its last tick, and few ticks', () => {
    fc.assert(
      fc.property(values, (all) => {
        const scale = linearScale(all, [0, 100]);
        const [first = 0, last = 0] = [scale.ticks[0], scale.ticks.at(-1)];
        const step = (last - first) / (scale.ticks.length - 1);
        for (const value of all) {
          expect(value).toBeGreaterThanOrEqual(first - step * 1e-6);
          expect(value).toBeLessThanOrEqual(last + step * 1e-6);
        }
        expect(scale.ticks.length).toBeLessThanOrEqual(8);
        expect(scale(first)).toBeCloseTo(0);
        expect(scale(last)).toBeCloseTo(100);
      }),
    );
  });

  test('begins at 0 where the least value is 0', () => {
    expect(linearScale([0, 10_000], [0, 100]).ticks).toEqual([0, 2000, 4000, 6000, 8000, 10_000]);
  });

  test('may have equal distances for equal factors', () => {
    const scale = logScale([1, 8, 64], [0, 100]);
    expect([1, 8, 64].map(scale)).toEqual([0, 50, 100]);
  });
});

test('labels are moved apart, and keep their order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 8 }), (places) => {
      const apart = spreadOut(places, 16);
      const order = places.map((_, index) => index).sort((a, b) => places[a]! - places[b]!);
      for (let at = 1; at < order.length; at++) {
        expect(apart[order[at]!]! - apart[order[at - 1]!]!).toBeGreaterThan(12);
      }
    }),
  );
});
