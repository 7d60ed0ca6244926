/** A model whose rows get dearer in large batches: the scheduler has to stop at the size that pays. */

import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, percent, quantile, type RunOptions } from '../case.ts';
import { between, type Curve, capacity, MINILM_128, RESNET_50 } from '../curves.ts';
import { FIFO, servePeer } from '../peers.ts';
import { answerMs, fatesText, inTimeShare, serve } from '../scenario.ts';

const BAR = 1.1;
/** Enough requests for the costs of sizes that hardly ever run to fade, and as much noise as neighbours make. */
const NOISY = { count: 30_000, noise: 0.1 };

/** Rows get dearer beyond batches of eight: what does not fit into the cache is read again for each. */
const CACHE_BOUND: Curve = {
  name: 'cache-bound',
  title: 'Rows get dearer beyond batches of eight',
  maxRows: 64,
  sloMs: 100,
  table: between([
    [1, 2],
    [8, 6],
    [16, 16],
    [64, 80],
  ]),
};

async function run({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const measures: Measure[] = [];
  const rows: string[][] = [];
  // So many that sizes which pay are run long after the warm-up measured the others.
  const count = 6_000;
  const noise = 0.02;
  for (const curve of [MINILM_128, CACHE_BOUND, RESNET_50]) {
    for (const load of isShort ? [0.7, 0.9] : [0.7, 0.9, 0.95]) {
      const arrivals = poisson(load * capacity(curve), count, seeds[0] ?? 1);
      const fifo = bestFifo(curve, arrivals, noise);
      // So long that nothing is shed: the latency is that of the batches alone.
      const { replies, instances } = await serve({
        curve,
        arrivals,
        plan: () => ({ deadlineMs: 60_000 }),
        noise,
      });
      const p99 = answerMs(replies, 0.99);
      const bar = curve === RESNET_50 ? undefined : { atMost: BAR };
      const peers = { 'FIFO, batches of any size': fifoP99(curve, arrivals, curve.maxRows, noise) / fifo.p99 };
      measures.push({
        name: `${curve.name} at ${load}x: p99 over that of FIFO`,
        value: p99 / fifo.p99,
        unit: 'ratio',
        bar,
        peers,
      });
      rows.push([
        curve.name,
        `${load}x`,
        `${p99.toFixed(0)} ms`,
        instances.meanRows.toFixed(2),
        `${fifo.p99.toFixed(0)} ms (at most ${fifo.rows})`,
        await inTime(curve, arrivals, curve.sloMs),
        await inTime(curve, arrivals, undefined),
      ]);
    }
  }
  for (const curve of [MINILM_128, CACHE_BOUND]) measures.push(await withNoise(curve, seeds[0] ?? 1));
  const columns = [
    'curve',
    'load',
    'p99',
    'mean rows',
    'p99 of FIFO',
    'in time, deadline named',
    'in time, none named',
  ];
  return { measures, tables: [{ title: 'Latency', columns, rows }] };
}

/** The same over many requests whose run times vary. */
async function withNoise(curve: Curve, seed: number): Promise<Measure> {
  const { count, noise } = NOISY;
  const load = 0.9;
  const arrivals = poisson(load * capacity(curve), count, seed);
  const { replies } = await serve({ curve, arrivals, plan: () => ({ deadlineMs: 60_000 }), noise });
  const fifo = bestFifo(curve, arrivals, noise);
  return {
    name: `${curve.name} at ${load}x, ${percent(noise, 0)} noise, ${count} requests: p99 over that of FIFO`,
    value: answerMs(replies, 0.99) / fifo.p99,
    unit: 'ratio',
    bar: { atMost: BAR },
    peers: { 'FIFO, batches of any size': fifoP99(curve, arrivals, curve.maxRows, noise) / fifo.p99 },
  };
}

async function inTime(curve: Curve, arrivals: Float64Array, deadlineMs: number | undefined): Promise<string> {
  const { replies } = await serve({
    curve,
    arrivals,
    plan: () => ({ deadlineMs, targetMs: curve.sloMs }),
    noise: 0.02,
  });
  return `${(100 * inTimeShare(replies)).toFixed(1)} % ${fatesText(replies)}`;
}

/** First come, first served in batches of at most the size that is best for the 99th percentile. */
function bestFifo(
  curve: Curve,
  arrivals: Float64Array,
  noise: number,
): { readonly p99: number; readonly rows: number } {
  let best = { p99: Number.POSITIVE_INFINITY, rows: 1 };
  for (let rows = 1; rows <= curve.maxRows; rows++) {
    const p99 = fifoP99(curve, arrivals, rows, noise);
    if (p99 < best.p99) best = { p99, rows };
  }
  return best;
}

function fifoP99(curve: Curve, arrivals: Float64Array, maxRows: number, noise: number): number {
  const capped = { ...curve, maxRows, table: curve.table.subarray(0, maxRows + 1) };
  return quantile([...servePeer(FIFO, arrivals, capped, { sloMs: Number.POSITIVE_INFINITY, noise, seed: 7 })], 0.99);
}

export const SUPERLINEAR: Case = {
  name: 'superlinear',
  title: 'Batches that do not pay',
  about:
    'The 99th percentile of the latency over that of first come, first served in batches of at most the best size. ' +
    'Deadlines are so long that nothing is shed.',
  run,
};
