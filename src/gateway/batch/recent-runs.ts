/**
 * Pace of a model's latest runs: their time in proportion to the expected cost of their batches.
 *
 * The high pace is a quantile of a long window, so that a stall does not move it, bounded by two short windows, so that it
 * follows a change. It falls fast, because the slowest of a few runs in a row bounds it. It rises slowly: a slow run counts only
 * if those beside it are slow, too.
 */

import type { CostCurve } from './cost-curve.ts';

export interface Run {
  readonly curve: CostCurve;
  readonly rows: number;
  readonly ms: number;
  /** It ran on an idle server, before the model served: it shows what batches cost, but not how much they vary under load. */
  readonly isWarmUp: boolean;
}

export interface Pace {
  /** Pace that few runs exceed. */
  readonly high: number;
  /** No change of pace is under way. */
  readonly isSteady: boolean;
  readonly typical: number;
  /** Pace that most runs exceed. */
  readonly low: number;
  /** Standard deviation of the logarithm, as far as it is noise: stalls and changes of pace do not count. */
  readonly spread: number;
}

/** Before there are runs, the expected cost is the time. */
export const UNKNOWN_PACE: Pace = { high: 1, isSteady: false, typical: 1, low: 1, spread: 0.05 };

const WINDOW = 40;
/**
 * Paces that are assumed around the typical one until the window is full of runs under load: quantiles of 10 % of noise, as on a
 * machine with neighbours. Without them the first batches would be as large as their deadlines allow, and every second one late.
 */
const ASSUMED_PACES = [0.079, 0.237, 0.402, 0.579, 0.776, 1.01, 1.318, 1.863]
  .flatMap((deviations) => [-deviations, deviations])
  .map((deviations) => Math.exp(0.1 * deviations));
/** Stalls move the high pace only where more than one run of five has them. */
const QUANTILE = 0.8;
/** Distance of that quantile from the median of normal noise, in standard deviations. */
const QUANTILE_DEVIATIONS = 0.84;
/**
 * Distance of the high pace from the median, in standard deviations: of 50 runs with log-normal noise, one exceeds 2.1. With little noise
 * a smaller distance answers more: the few requests that a late batch loses are fewer than the margin would shed (`maximal-rate`).
 */
const MOST_DEVIATIONS = 2.1;
const LEAST_DEVIATIONS = 1;
/** So many deviations more for each unit of noise: the most from 5.5 % on. */
const DEVIATIONS_BY_NOISE = 20;
/** So many runs in a row bound the high pace from above. */
const FALL_RUNS = 8;
/** The bound lies above the slowest of them by the noise, and at most by this factor. */
const MOST_HEADROOM = 1.1;
/** So many runs in a row bound a pace from below. */
const RISE_RUNS = 4;
/** Runs whose median is typical. */
export const TYPICAL_RUNS = 15;

export class RecentRuns {
  /** A ring buffer. */
  readonly #runs: Run[] = [];
  #next = 0;
  /** Newest first. */
  readonly #paces = new Float64Array(WINDOW);
  readonly #served = new Float64Array(WINDOW);
  readonly #sorted = new Sorted();

  add(run: Run): void {
    this.#runs[this.#next] = run;
    this.#next = (this.#next + 1) % WINDOW;
  }

  clear(): void {
    this.#runs.length = 0;
    this.#next = 0;
  }

  /** @param costOf expected cost of a run. */
  pace(costOf: (run: Run) => number): Pace {
    const count = this.#runs.length;
    if (count === 0) return UNKNOWN_PACE;
    const paces = this.#paces;
    const served = this.#served;
    let servedCount = 0;
    for (let back = 0; back < count; back++) {
      const run = this.#runs[(this.#next - 1 - back + WINDOW) % WINDOW];
      if (run === undefined) continue;
      const pace = run.ms / costOf(run);
      paces[back] = pace;
      if (!run.isWarmUp) served[servedCount++] = pace;
    }
    const floor = floorOf(paces, Math.min(count, RISE_RUNS), RISE_RUNS);
    const ceiling = ceilingOf(paces, Math.min(count, RISE_RUNS), RISE_RUNS);
    const highest = ceilingOf(paces, Math.min(count, FALL_RUNS), FALL_RUNS);
    const latest = this.#sorted.of(paces, Math.min(count, TYPICAL_RUNS)).quantile(0.5);
    // Assumed runs under load stand in as long as there is room.
    for (const pace of ASSUMED_PACES) if (servedCount < WINDOW) served[servedCount++] = latest * pace;
    const all = this.#sorted.of(served, servedCount);
    const median = all.quantile(0.5);
    const low = all.quantile(1 - QUANTILE);
    const deviation = all.quantile(QUANTILE) / median;
    const high = median * deviation ** (highDeviations(deviation) / QUANTILE_DEVIATIONS);
    // Stalls and changes of pace widen one side only.
    const noise = Math.min(deviation, median / low) ** (1 / QUANTILE_DEVIATIONS);
    const bounded = Math.min(highest * Math.min(noise, MOST_HEADROOM), Math.max(floor, high));
    return {
      high: bounded,
      isSteady: bounded === high,
      typical: Math.min(ceiling, Math.max(floor, latest)),
      low,
      spread: Math.log(noise),
    };
  }
}

/** @param deviation ratio of the quantile to the median */
function highDeviations(deviation: number): number {
  const noise = Math.log(deviation) / QUANTILE_DEVIATIONS;
  return Math.min(MOST_DEVIATIONS, LEAST_DEVIATIONS + DEVIATIONS_BY_NOISE * noise);
}

/** The slowest of the first `count` runs; of fewer than `most`, in proportion more. */
function ceilingOf(paces: Float64Array, count: number, most: number): number {
  let slowest = 0;
  let ceiling = Number.POSITIVE_INFINITY;
  for (let index = 0; index < count; index++) {
    slowest = Math.max(slowest, paces[index] ?? 0);
    ceiling = Math.min(ceiling, (slowest * most) / (index + 1));
  }
  return ceiling;
}

/** The fastest of the first `count` runs; of fewer than `most`, in proportion less. */
function floorOf(paces: Float64Array, count: number, most: number): number {
  let fastest = Number.POSITIVE_INFINITY;
  let floor = 0;
  for (let index = 0; index < count; index++) {
    fastest = Math.min(fastest, paces[index] ?? 0);
    floor = Math.max(floor, (fastest * (index + 1)) / most);
  }
  return floor;
}

/** Sorted copies, one at a time: they are made after every run, and must leave no garbage. */
class Sorted {
  readonly #values = new Float64Array(WINDOW);
  #count = 0;

  /** By insertion, which is several times faster than the built-in sort for so few. */
  of(values: Float64Array, count: number): this {
    this.#count = count;
    const sorted = this.#values;
    for (let index = 0; index < count; index++) {
      const value = values[index] ?? 0;
      let at = index;
      for (; at > 0; at--) {
        const before = sorted[at - 1] ?? 0;
        if (before <= value) break;
        sorted[at] = before;
      }
      sorted[at] = value;
    }
    return this;
  }

  quantile(share: number): number {
    return this.#values[Math.max(0, Math.ceil(share * this.#count) - 1)] ?? 1;
  }
}
