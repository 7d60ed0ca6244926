import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Latencies } from '../../../src/gateway/rollout/latencies.ts';

const durations = fc.array(fc.double({ min: 0.01, max: 600_000, noNaN: true }), { minLength: 1, maxLength: 300 });

describe('latencies', () => {
  test('tell a quantile at most 5 % too long, and never too short', () => {
    fc.assert(
      fc.property(durations, fc.constantFrom(0.5, 0.9, 0.99, 1), (list, quantile) => {
        const latencies = new Latencies();
        for (const ms of list) latencies.add(ms);
        const exact = list.toSorted((a, b) => a - b)[Math.ceil(list.length * quantile) - 1] ?? Number.NaN;
        expect(latencies.quantile(quantile)).toBeGreaterThanOrEqual(exact * (1 - 1e-9));
        expect(latencies.quantile(quantile)).toBeLessThanOrEqual(exact * 1.05 * (1 + 1e-9));
      }),
    );
  });

  test('count what is above a limit, and nothing that is not', () => {
    fc.assert(
      fc.property(durations, fc.double({ min: 0.01, max: 600_000, noNaN: true }), (list, limit) => {
        const latencies = new Latencies();
        for (const ms of list) latencies.add(ms);
        expect(latencies.above(limit)).toBeLessThanOrEqual(list.filter((ms) => ms > limit).length);
        expect(latencies.above(limit)).toBeGreaterThanOrEqual(list.filter((ms) => ms > limit * 1.06).length);
        expect(latencies.above(latencies.quantile(0.99))).toBeLessThanOrEqual(list.length * 0.01);
      }),
    );
  });

  test('of nothing are nothing', () => {
    expect(new Latencies().quantile(0.99)).toBe(0);
    expect(new Latencies().above(1)).toBe(0);
  });
});
