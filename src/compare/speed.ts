/**
 * Measures the speed of contenders side by side. All are measured in the same rounds, one after another, so that other load on the
 * machine slows them alike: the ratio to the base within a round is worth more than an absolute figure.
 */

import type { InferTensors } from '../gateway/admit/infer-tensors.ts';
import type { Contender } from './contender.ts';
import type { Latency, Speed, Spread } from './report.ts';

const BATCH_SIZES = [1, 8, 32, 64] as const;
/** After a first one, which is not counted. */
const ROUNDS = 5;
/** Speed of one contender, with one batch size, in one round. */
const SLICE_MS = 60;
/** With what lies between two runs, which of a tiny model is most. */
const MAX_SLICE_MS = 120;
const LEAST_RUNS = 5;

export interface Measured {
  readonly speed: readonly Speed[];
  readonly latency: Latency;
}

export interface SpeedOptions {
  readonly signal: AbortSignal;
  /** Called with the rounds that are done, and how many there are. */
  readonly progress: (done: number, total: number) => void;
}

/**
 * Rows a second of each contender, the base first.
 * @param rows of data, of one shape: they are repeated to fill the batches.
 * @throws RunError
 */
export async function measureSpeed(
  contenders: readonly Contender[],
  rows: readonly InferTensors[],
  { signal, progress }: SpeedOptions,
): Promise<Measured[]> {
  const most = Math.min(...contenders.map(({ maxRows }) => maxRows));
  const sizes = BATCH_SIZES.filter((size) => size <= most);
  /** By contender, then by batch size: rows a second of each round. */
  const rates = contenders.map(() => sizes.map((): number[] => []));
  const latencies = contenders.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [at, size] of sizes.entries()) {
      const batch = Array.from({ length: size }, (_, index) => rows[index % rows.length]).filter(isThere);
      for (const [who, contender] of contenders.entries()) {
        signal.throwIfAborted();
        // The first run of a size allocates.
        await contender.time(batch);
        const times = await repeat(contender, batch);
        if (round === 0) continue;
        // The median, not the mean: another process that takes the core for a while hits a few runs only.
        rates[who]?.[at]?.push((size * 1e3) / quantile(times, 0.5));
        if (size === 1) latencies[who]?.push(...times);
      }
    }
    progress(round + 1, ROUNDS + 1);
  }
  return contenders.map((_, who) => ({
    speed: sizes.map((batch, at) => {
      const own = rates[who]?.[at] ?? [];
      const base = rates[0]?.[at] ?? [];
      const ratios = own.map((rate, round) => rate / (base[round] ?? rate));
      return { batch, itemsPerSecond: spreadOf(own), ratio: spreadOf(ratios) };
    }),
    latency: latencyOf(latencies[who] ?? []),
  }));
}

async function repeat(contender: Contender, batch: readonly InferTensors[]): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + MAX_SLICE_MS;
  let spent = 0;
  while (times.length < LEAST_RUNS || (spent < SLICE_MS && performance.now() < end)) {
    const time = await contender.time(batch);
    times.push(time);
    spent += time;
  }
  return times;
}

function spreadOf(values: readonly number[]): Spread {
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values) };
}

function latencyOf(times: readonly number[]): Latency {
  return { runs: times.length, p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
}

/** By the nearest rank. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? 0;
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined;
}
