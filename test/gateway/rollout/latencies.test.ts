import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Latencies } from '../../../src/gateway/rollout/latencies.ts';

const durations = fc.array(fc.double({ min: 0.01, max: 600_000, noNaN: true }), { minLength: 1, maxLength: 300 });

describe('latencies', () => {
  test('give a quantile at most 5 % too long, and never too short', () => {
    fc.assert(
      fc.property(durations, fc.constantFrom(0.5, 0.9, 0.99, 1), (list, quantile) => {
        const latencies = new Latencies();
        for (const [index, ms] of list.entries()) latencies.add(ms, index * 700);
        const exact = list.toSorted((a, b) => a - b)[Math.ceil(list.length * quantile) - 1] ?? Number.NaN;
        expect(latencies.quantile(quantile)).toBeGreaterThanOrEqual(exact * (1 - 1e-9));
        expect(latencies.quantile(quantile)).toBeLessThanOrEqual(exact * 1.05 * (1 + 1e-9));
      }),
    );
  });

  test('are counted only above a limit', () => {
    fc.assert(
      fc.property(durations, fc.double({ min: 0.01, max: 600_000, noNaN: true }), (list, limit) => {
        const latencies = new Latencies();
        for (const [index, ms] of list.entries()) latencies.add(ms, index * 700);
        expect(latencies.above(limit)).toBeLessThanOrEqual(list.filter((ms) => ms > limit).length);
        expect(latencies.above(limit)).toBeGreaterThanOrEqual(list.filter((ms) => ms > limit * 1.06).length);
        expect(latencies.above(latencies.quantile(0.99))).toBeLessThanOrEqual(list.length * 0.01);
      }),
    );
  });

  test('leave out the slices in which the most were slow, and none in which nothing was', () => {
    const latencies = new Latencies();
    for (let second = 0; second < 5; second++) {
      for (let index = 0; index < 10; index++) latencies.add(index < second ? 100 : 1, second * 1_000 + index);
    }
    const rest = latencies.withoutWorst(2, 10);
    expect([latencies.above(10), rest.above(10), rest.count]).toEqual([10, 3, 30]);
    expect(latencies.withoutWorst(5, 10)).toMatchObject({ count: 10 });
    expect(latencies.withoutWorst(2, 1_000)).toMatchObject({ count: 50 });
  });

  test('cover hours with the same number of slices, which grow', () => {
    const latencies = new Latencies();
    for (let second = 0; second < 20_000; second++) latencies.add(second % 100 === 0 ? 100 : 1, second * 1_000);
    expect([latencies.count, latencies.above(10)]).toEqual([20_000, 200]);
    const rest = latencies.withoutWorst(1, 10);
    // A slice is 256 s long by then.
    expect(latencies.count - rest.count).toBe(256);
    for (const far of [1e12, 1e13, 1e14]) latencies.add(1, far);
    expect(latencies.count).toBe(20_003);
  });

  test('are empty without requests', () => {
    expect(new Latencies().quantile(0.99)).toBe(0);
    expect(new Latencies().above(1)).toBe(0);
  });
});
