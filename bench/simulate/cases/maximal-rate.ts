/** The highest rate at which 99 % of the requests are in time, beside the rate of the clairvoyant optimum. */

import { type ArrivalKind, arrivalsOf } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, mean, type RunOptions } from '../case.ts';
import { CNN, type Curve, capacity, GPU_LIKE, MINILM_32, MLP_23MB, runMs } from '../curves.ts';
import { optimum } from '../oracle.ts';
import { BENTOML, NEXUS, sharePeer, TRITON } from '../peers.ts';
import { inTimeShare, serve } from '../scenario.ts';

const GOAL = 0.99;
/** Machines are never exact. */
const NOISE = 0.03;
const PEERS = [TRITON, BENTOML, NEXUS];

const POISSON_BAR = 0.93;
const GAMMA_BAR = 0.85;

/** Share in time at a rate, for each seed. */
type ShareAt = (arrivals: Float64Array, seed: number) => number | Promise<number>;

async function run({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const used = seeds.slice(0, isShort ? 1 : 2);
  const count = isShort ? 2_000 : 4_000;
  const kinds: readonly ArrivalKind[] = ['poisson', 'gamma4'];
  const measures: Measure[] = [];
  const rows: string[][] = [];
  for (const curve of isShort ? [GPU_LIKE, CNN] : [GPU_LIKE, MLP_23MB, CNN, MINILM_32]) {
    const sloMs = 10 * runMs(curve, 1);
    for (const kind of kinds) {
      const highest = (shareAt: ShareAt): Promise<number> => highestRate(curve, kind, used, count, shareAt);
      const best = await highest((arrivals) => optimum(arrivals, curve.table, sloMs) / arrivals.length);
      const ours = await highest(async (arrivals, seed) => {
        const { replies } = await serve({ curve, arrivals, plan: () => ({ deadlineMs: sloMs }), noise: NOISE, seed });
        return inTimeShare(replies);
      });
      const peers: Record<string, number> = {};
      for (const rule of PEERS) {
        const rate = await highest((arrivals, seed) => sharePeer(rule, arrivals, curve, { sloMs, noise: NOISE, seed }));
        peers[rule.name] = rate / best;
      }
      const goal = kind === 'poisson' ? POISSON_BAR : curve === GPU_LIKE ? GAMMA_BAR : undefined;
      const bar = goal === undefined ? undefined : { atLeast: goal };
      measures.push({ name: `${curve.name}, ${kind}`, value: ours / best, unit: 'ratio', bar, peers });
      rows.push([curve.name, kind, `${sloMs.toFixed(1)} ms`, best.toFixed(2), ours.toFixed(2)]);
    }
  }
  const columns = ['curve', 'arrivals', 'deadline', 'optimum', 'tensorgate'];
  return { measures, tables: [{ title: 'Highest rate over the capacity', columns, rows }] };
}

/** By bisection, as a share of the capacity. */
async function highestRate(
  curve: Curve,
  kind: ArrivalKind,
  seeds: readonly number[],
  count: number,
  shareAt: ShareAt,
): Promise<number> {
  let low = 0.02;
  let high = 1.1;
  for (let step = 0; step < 8; step++) {
    const load = (low + high) / 2;
    const shares: number[] = [];
    for (const seed of seeds) shares.push(await shareAt(arrivalsOf(kind, load * capacity(curve), count, seed), seed));
    if (mean(shares) >= GOAL) low = load;
    else high = load;
  }
  return low;
}

export const MAXIMAL_RATE: Case = {
  name: 'maximal-rate',
  title: 'Maximal rate with 99 % in time',
  about:
    'The highest rate at which 99 % of the requests are answered within 10 times the time of a batch of one, over the ' +
    'highest rate of the clairvoyant optimum. Run times vary by 3 %; the optimum and the peers know the exact curve.',
  run,
};
