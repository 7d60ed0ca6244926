import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrivalsOf } from '../../../bench/simulate/arrivals.ts';
import { GPU_LIKE, MLP_23MB, RESNET_50 } from '../../../bench/simulate/curves.ts';
import { optimum } from '../../../bench/simulate/oracle.ts';
import { PEERS, sharePeer } from '../../../bench/simulate/peers.ts';

/** The most requests in time, by trying every set of accepted requests and every way to cut it into batches. */
function bruteForce(arrivals: readonly number[], runMs: Float64Array, sloMs: number): number {
  const maxRows = runMs.length - 1;
  const follow = (accepted: readonly number[], freeMs: number): boolean => {
    if (accepted.length === 0) return true;
    for (let size = 1; size <= Math.min(maxRows, accepted.length); size++) {
      const end = Math.max(freeMs, accepted[size - 1] ?? 0) + (runMs[size] ?? 0);
      if (end > (accepted[0] ?? 0) + sloMs + 1e-9) continue;
      if (follow(accepted.slice(size), end)) return true;
    }
    return false;
  };
  let best = 0;
  for (let set = 0; set < 2 ** arrivals.length; set++) {
    const accepted = arrivals.filter((_, index) => (set >> index) & 1);
    if (accepted.length > best && follow(accepted, 0)) best = accepted.length;
  }
  return best;
}

test('the optimum equals the best of all schedules', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 1, maxLength: 9 });
  const steps = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      gaps,
      fc.integer({ min: 1, max: 6 }),
      steps,
      fc.integer({ min: 1, max: 20 }),
      (gap, first, more, slo) => {
        let now = 0;
        const arrivals = gap.map((step) => {
          now += step;
          return now;
        });
        let ms = first;
        const runMs = Float64Array.from([0, first, ...more.map((step) => (ms += step))]);
        expect(optimum(Float64Array.from(arrivals), runMs, slo)).toBe(bruteForce(arrivals, runMs, slo));
      },
    ),
    { numRuns: 500 },
  );
});

test('no peer answers more in time than the optimum', () => {
  for (const curve of [GPU_LIKE, MLP_23MB, RESNET_50]) {
    const arrivals = arrivalsOf('gamma4', (1.1 * curve.maxRows) / (curve.table.at(-1) ?? 1), 1_000, 5);
    const most = optimum(arrivals, curve.table, curve.sloMs);
    for (const rule of PEERS) {
      const share = sharePeer(rule, arrivals, curve, { sloMs: curve.sloMs, noise: 0, seed: 1 });
      expect(share * arrivals.length, `${rule.name} on ${curve.name}`).toBeLessThanOrEqual(most);
    }
  }
});
