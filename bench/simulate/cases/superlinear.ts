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
  const seed = seeds[0] ?? 1;
  const measures: Measure[] = [];
  const rows: string[][] = [];
  // So many that sizes which pay are run long after the warm-up measured the others.
  const count = 6_000;
  const noise = 0.02;
  for (const curve of [MINILM_128, CACHE_BOUND, RESNET_50]) {
    for (const load of isShort ? [0.7, 0.9] : [0.7, 0.9, 0.95]) {
      const { arrivals, p99, meanRows, fifo } = await race({ curve, load, count, noise, seed });
      const bar = curve === RESNET_50 ? undefined : { atMost: BAR };
      measures.push({ name: `${curve.name} at ${load}x: p99 over that of FIFO`, ...ratio(p99, fifo), bar });
      rows.push([
        curve.name,
        `${load}x`,
        `${p99.toFixed(0)} ms`,
        meanRows.toFixed(2),
        `${fifo.p99.toFixed(0)} ms (at most ${fifo.rows})`,
        await inTime(curve, arrivals, curve.sloMs),
        await inTime(curve, arrivals, undefined),
      ]);
    }
  }
  for (const curve of [MINILM_128, CACHE_BOUND]) {
    const load = 0.9;
    const { p99, fifo } = await race({ curve, load, ...NOISY, seed });
    measures.push({
      name: `${curve.name} at ${load}x, ${percent(NOISY.noise, 0)} noise, ${NOISY.count} requests: p99 over that of FIFO`,
      ...ratio(p99, fifo),
      bar: { atMost: BAR },
    });
  }
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

interface Race {
  readonly curve: Curve;
  /** In capacities of the curve. */
  readonly load: number;
  readonly count: number;
  readonly noise: number;
  readonly seed: number;
}

interface RaceResult {
  readonly arrivals: Float64Array;
  readonly p99: number;
  readonly meanRows: number;
  readonly fifo: BestFifo;
}

/** The scheduler and FIFO on the same requests. */
async function race({ curve, load, count, noise, seed }: Race): Promise<RaceResult> {
  const arrivals = poisson(load * capacity(curve), count, seed);
  const fifo = bestFifo(curve, arrivals, noise);
  // So long that nothing is shed: only batches add to the latency.
  const { replies, instances } = await serve({ curve, arrivals, plan: () => ({ deadlineMs: 60_000 }), noise });
  return { arrivals, p99: answerMs(replies, 0.99), meanRows: instances.meanRows, fifo };
}

function ratio(p99: number, fifo: BestFifo): Pick<Measure, 'value' | 'unit' | 'peers'> {
  return {
    value: p99 / fifo.p99,
    unit: 'ratio',
    peers: { 'FIFO, batches of any size': fifo.p99OfAnySize / fifo.p99 },
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

interface BestFifo {
  readonly p99: number;
  /** The largest batches. */
  readonly rows: number;
  /** Where batches may have as many rows as the curve allows. */
  readonly p99OfAnySize: number;
}

/** First come, first served in batches of at most the size that is best for the 99th percentile. */
function bestFifo(curve: Curve, arrivals: Float64Array, noise: number): BestFifo {
  let best = { p99: Number.POSITIVE_INFINITY, rows: 1 };
  let p99OfAnySize = best.p99;
  for (let rows = 1; rows <= curve.maxRows; rows++) {
    p99OfAnySize = fifoP99(curve, arrivals, rows, noise);
    if (p99OfAnySize < best.p99) best = { p99: p99OfAnySize, rows };
  }
  return { ...best, p99OfAnySize };
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
