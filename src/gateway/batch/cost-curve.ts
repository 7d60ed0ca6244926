/**
 * Cost of the batches of one shape by their rows: the mean of each size that was run. The less often and the longer ago a size
 * was run, the more its cost follows the regression over all shapes.
 */

import type { RowSize } from '../admit/infer-tensors.ts';
import type { CostRegression } from './cost-regression.ts';
import { IsotonicPools } from './isotonic-pools.ts';

/** A mean forgets after about this many samples. */
const MEAN_SAMPLES = 16;
/**
 * Weight that samples keep per run: 7,000 runs halve it, so that slow runs of one size do not count for ever. Samples from the
 * warm-up of batches that do not pay stay known for thousands of runs of smaller ones, because the regression cannot replace them:
 * trying such a batch again delays tens of requests, which must stay far below one in a hundred.
 */
const FADING = 0.9999;
/** Maximum number of sizes. Above it, the size that ran longest ago is dropped: the regression predicts it then. */
const MAX_SIZES = 64;
/** The least error that is expected of the regression, as a share of the cost. */
const LEAST_ERROR = 0.05;
/**
 * Sizes that the regression is assumed to fit, beside those that were run. The number matters little: 0, 2 and 8 answer the same
 * share in time, to 0.1 points, in simulated loads with 10 % and 25 % of noise (`npm run simulate`, cases `grid-10` and `grid-25`).
 */
const UNSEEN_SIZES = 8;
/**
 * The regression counts as this many samples at least, so that one outlier of a size does not stay, and at most as many as a mean
 * remembers.
 */
const LEAST_REGRESSION_SAMPLES = 0.5;
/** Costs are remembered between runs for up to this many rows. */
const MAX_CACHED_ROWS = 1_024;

interface SizeMean {
  readonly rows: number;
  mean: number;
  /** Samples in the mean, as they counted at the last run of this size. */
  samples: number;
  lastRun: number;
  /** The least time that such a batch ever took. */
  fastestMs: number;
  /** Expected cost of this size: at least the cost of any smaller size. */
  expected: number;
}

export class CostCurve {
  readonly size: RowSize;
  readonly #regression: CostRegression;
  /** Ascending by rows. */
  readonly #means: SizeMean[] = [];
  /** Costs by rows, of the run `#levelledAt`; 0 where they were not asked for yet. */
  #costs = new Float64Array(8);
  #levelledAt = -1;
  readonly #pools = new IsotonicPools();
  #runs = 0;
  // The regression's line of this shape.
  #fixedMs = 0;
  #rowMs = 0;

  constructor(size: RowSize, regression: CostRegression) {
    this.size = size;
    this.#regression = regression;
  }

  /**
   * @param ms how long it took, without factors that slowed or sped up all runs at that time.
   * @param run number of this run across all shapes.
   * @param weight samples that it counts as.
   */
  learn(rows: number, ms: number, elapsedMs: number, run: number, weight: number): void {
    const size = this.#sizeOf(rows);
    size.samples = Math.min(MEAN_SAMPLES, size.samples * fading(run - size.lastRun) + weight);
    size.mean += ((ms - size.mean) * weight) / size.samples;
    size.lastRun = run;
    size.fastestMs = Math.min(size.fastestMs, elapsedMs);
    this.#runs++;
  }

  /** How many runs it has learned from. */
  get runs(): number {
    return this.#runs;
  }

  /**
   * @param run number of the last run.
   * @param spread noise of run times, as the standard deviation of their logarithm.
   */
  cost(rows: number, run: number, spread: number): number {
    if (run !== this.#levelledAt) this.#level(run, spread);
    if (rows >= this.#costs.length) {
      if (rows >= MAX_CACHED_ROWS) return this.#interpolate(rows);
      this.#costs = new Float64Array(Math.min(MAX_CACHED_ROWS, 2 * rows + 2));
    }
    const known = this.#costs[rows] ?? 0;
    if (known > 0) return known;
    const cost = this.#interpolate(rows);
    this.#costs[rows] = cost;
    return cost;
  }

  /** The sizes that were run, ascending. */
  get sizes(): readonly number[] {
    return this.#means.map(({ rows }) => rows);
  }

  /** Samples of this size, faded. */
  samples(rows: number, run: number): number {
    const size = this.#means[this.#indexOf(rows)];
    return size?.rows === rows ? size.samples * fading(run - size.lastRun) : 0;
  }

  /** The least time that a batch of so many rows can take, as far as batches of its size and larger ones show. */
  fastest(rows: number): number | undefined {
    const at = this.#indexOf(rows);
    const from = this.#means[at]?.rows === rows ? at : at - 1;
    if (from < 0) return undefined;
    let fastest = Number.POSITIVE_INFINITY;
    for (let index = from; index < this.#means.length; index++) {
      fastest = Math.min(fastest, this.#means[index]?.fastestMs ?? fastest);
    }
    return fastest;
  }

  #level(run: number, spread: number): void {
    this.#levelledAt = run;
    this.#costs.fill(0);
    this.#fixedMs = this.#regression.fixedMs;
    this.#rowMs = this.#regression.rowMs(this.size);
    const regressionSamples = this.#regressionSamples(spread);
    const pools = this.#pools;
    pools.clear();
    for (let index = 0; index < this.#means.length; index++) {
      const size = this.#means[index];
      if (size === undefined) break;
      const weight = size.samples * fading(run - size.lastRun);
      const expected = (weight * size.mean + regressionSamples * this.#line(size.rows)) / (weight + regressionSamples);
      pools.add(expected, weight + regressionSamples);
    }
    for (let pool = 0, index = 0; index < this.#means.length; index++) {
      if (index >= pools.endOf(pool)) pool++;
      const size = this.#means[index];
      if (size !== undefined) size.expected = pools.meanOf(pool);
    }
  }

  /**
   * As many samples of a size as the regression is worth: those whose mean errs as much. Its error is what it missed the measured
   * sizes by, beyond what noise explains: twice the variance of their means. A straight line misses a model whose rows get dearer.
   * Some sizes more count as missed by nothing: a few that are noisy are no evidence. The noise of a mean does not grow with its age.
   */
  #regressionSamples(spread: number): number {
    let error = 0;
    for (const { rows, mean, samples } of this.#means) {
      const missed = Math.log(mean / this.#line(rows)) ** 2;
      error += (missed - (2 * spread ** 2) / samples) / (this.#means.length + UNSEEN_SIZES);
    }
    const regressionSamples = spread ** 2 / Math.max(LEAST_ERROR ** 2, error);
    return Math.min(MEAN_SAMPLES, Math.max(LEAST_REGRESSION_SAMPLES, regressionSamples));
  }

  /** Between two sizes along the straight line, and beyond them as the regression rises. */
  #interpolate(rows: number): number {
    const at = this.#indexOf(rows);
    const above = this.#means[at];
    const below = this.#means[at - 1];
    if (above?.rows === rows) return above.expected;
    if (below === undefined) return above === undefined ? this.#line(rows) : this.#scaled(rows, above);
    if (above === undefined) return this.#scaled(rows, below);
    const share = (rows - below.rows) / (above.rows - below.rows);
    return below.expected + share * (above.expected - below.expected);
  }

  #scaled(rows: number, nearest: SizeMean): number {
    const line = this.#line(nearest.rows);
    return line > 0 ? (this.#line(rows) * nearest.expected) / line : nearest.expected;
  }

  #line(rows: number): number {
    return this.#fixedMs + this.#rowMs * rows;
  }

  #sizeOf(rows: number): SizeMean {
    const at = this.#indexOf(rows);
    const found = this.#means[at];
    if (found?.rows === rows) return found;
    const made: SizeMean = {
      rows,
      mean: 0,
      samples: 0,
      lastRun: 0,
      fastestMs: Number.POSITIVE_INFINITY,
      expected: 0,
    };
    this.#means.splice(at, 0, made);
    // It has no expected cost yet, and sizes beside it would follow from that.
    this.#levelledAt = -1;
    if (this.#means.length > MAX_SIZES) this.#dropOldest(made);
    return made;
  }

  #dropOldest(except: SizeMean): void {
    let oldest: SizeMean | undefined;
    for (const size of this.#means) {
      if (size !== except && (oldest === undefined || size.lastRun < oldest.lastRun)) oldest = size;
    }
    if (oldest !== undefined) this.#means.splice(this.#means.indexOf(oldest), 1);
  }

  /** Where `rows` is, or would be, among the sizes. */
  #indexOf(rows: number): number {
    let low = 0;
    let high = this.#means.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#means[middle]?.rows ?? Number.POSITIVE_INFINITY) < rows) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Weight of samples after so many runs. */
function fading(runs: number): number {
  return FADING ** runs;
}
