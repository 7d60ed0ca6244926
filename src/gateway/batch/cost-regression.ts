/**
 * Cost of a batch of any shape: a linear regression over (1, rows, rows x elements, rows x elements x length), shared by all
 * shapes of a model version. The terms are the fixed work of a run, the work per row, the work per element, and attention,
 * whose work grows with the square of the length.
 *
 * Samples weigh by their relative error, because costs span orders of magnitude. Coefficients are never negative
 * (non-negative least squares), so a larger batch never looks cheaper. A new sample displaces old ones only in its own
 * direction (directional forgetting, Cao and Schwartz, Automatica 36, 2000): a month of single rows does not erase the cost
 * of large batches.
 */

import type { RowSize } from '../admit/infer-tensors.ts';

const TERMS = 4;
const WIDTH = TERMS + 1;
/** Weight that old samples keep for each new one of their direction: about the last hundred count. */
const FORGETTING = 0.99;
/**
 * Ridge of each term. It decides which term explains the cost if samples cannot separate them, as with one shape only:
 * first the elements, which is right for most models, and hardly the fixed work, so that a larger batch does not look free.
 */
const RIDGE = [4e-5, 3e-5, 1e-5, 9e-5] as const;
/** Smaller gradients are rounding errors: the system is scaled to a diagonal of 1. */
const TOLERANCE = 1e-9;
/** An expectation that is off by more than this factor is not one yet. */
const FAR_OFF = 4;
const LEAST_MS = 1e-6;
/**
 * Beyond so many times the longest row that was run, cost grows with the elements only: the square of a length a hundred times as
 * long makes minutes of a tenth of a millisecond of noise. Rows that were refused for it would never be run.
 */
const FAR_LENGTHS = 2;
/** A set of terms, as bits. */
const ALL_TERMS = 2 ** TERMS - 1;

export class CostRegression {
  /** The normal equations: information matrix and right side. */
  readonly #information = new Float64Array(TERMS * TERMS);
  readonly #moments = new Float64Array(TERMS);
  readonly #coefficients = new Float64Array(TERMS);
  readonly #terms = new Float64Array(TERMS);
  readonly #lost = new Float64Array(TERMS);
  readonly #system = new Float64Array(TERMS * WIDTH);
  readonly #solution = new Float64Array(TERMS);
  /** The terms whose coefficients are not zero. */
  #support = ALL_TERMS;
  #isSolved = true;
  #longest = 0;

  learn(size: RowSize, rows: number, ms: number): void {
    // Weighted by the expected cost, not the sample: dividing by noise would favour fast runs.
    const expected = this.fixedMs + rows * this.rowMs(size);
    const weight = 1 / Math.max(LEAST_MS, Math.min(Math.max(expected, ms / FAR_OFF), ms * FAR_OFF));
    const { elements, length } = size;
    const terms = this.#terms;
    terms[0] = weight;
    terms[1] = terms[0] * rows;
    terms[2] = terms[1] * elements;
    terms[3] = terms[2] * length;
    const lost = this.#lost;
    for (let row = 0; row < TERMS; row++) lost[row] = dot(this.#information, row * TERMS, terms);
    const along = dot(lost, 0, terms);
    const forgotten = along > 0 ? (1 - FORGETTING) / along : 0;
    const moment = dot(this.#moments, 0, terms);
    for (let row = 0; row < TERMS; row++) {
      add(this.#moments, row, at(terms, row) * weight * ms - forgotten * at(lost, row) * moment);
      for (let column = 0; column < TERMS; column++) {
        const gained = at(terms, row) * at(terms, column) - forgotten * at(lost, row) * at(lost, column);
        add(this.#information, row * TERMS + column, gained);
      }
    }
    this.#isSolved = false;
    this.#longest = Math.max(this.#longest, length);
  }

  /** Fixed milliseconds of a run, without its rows. */
  get fixedMs(): number {
    this.#solve();
    return at(this.#coefficients, 0);
  }

  rowMs({ elements, length }: RowSize): number {
    this.#solve();
    const coefficients = this.#coefficients;
    const known = Math.min(length, FAR_LENGTHS * this.#longest);
    return at(coefficients, 1) + elements * (at(coefficients, 2) + known * at(coefficients, 3));
  }

  /** The optimum has one support; with four terms there are few to try, and mostly it is the last one. */
  #solve(): void {
    if (this.#isSolved) return;
    this.#isSolved = true;
    if (this.#isOptimum(this.#support)) return;
    for (let support = ALL_TERMS; support > 0; support--) {
      if (!this.#isOptimum(support)) continue;
      this.#support = support;
      return;
    }
  }

  /** Solves for the terms of `support`, and keeps the coefficients where they meet the conditions of the optimum. */
  #isOptimum(support: number): boolean {
    const solution = this.#solution;
    this.#fillSystem(support);
    eliminate(this.#system, solution);
    for (let term = 0; term < TERMS; term++) {
      const value = at(solution, term);
      if (support & (1 << term) ? value < 0 : this.#gradient(term, solution) > TOLERANCE) return false;
    }
    for (let term = 0; term < TERMS; term++) {
      const scale = this.#scale(term);
      this.#coefficients[term] = scale > 0 ? at(solution, term) / scale : 0;
    }
    return true;
  }

  /** How much a coefficient that is zero wants to grow. */
  #gradient(term: number, solution: Float64Array): number {
    let gradient = this.#scaledMoment(term);
    for (let other = 0; other < TERMS; other++) gradient -= this.#correlation(term, other) * at(solution, other);
    return gradient;
  }

  /** Rows of coefficients and right side; a term outside of `support` has the solution 0. */
  #fillSystem(support: number): void {
    const system = this.#system;
    system.fill(0);
    for (let row = 0; row < TERMS; row++) {
      system[row * WIDTH + row] = 1 + (RIDGE[row] ?? 0);
      if (!(support & (1 << row))) continue;
      system[row * WIDTH + TERMS] = this.#scaledMoment(row);
      for (let column = 0; column < TERMS; column++) {
        if (column === row || !(support & (1 << column))) continue;
        system[row * WIDTH + column] = this.#correlation(row, column);
      }
    }
  }

  #scale(term: number): number {
    return Math.sqrt(at(this.#information, term * TERMS + term));
  }

  #scaledMoment(term: number): number {
    const scale = this.#scale(term);
    return scale > 0 ? at(this.#moments, term) / scale : 0;
  }

  #correlation(row: number, column: number): number {
    const scale = this.#scale(row) * this.#scale(column);
    return scale > 0 ? at(this.#information, row * TERMS + column) / scale : 0;
  }
}

/** Gaussian elimination; the ridge makes the system positive definite, so no pivot is zero. */
function eliminate(system: Float64Array, solution: Float64Array): void {
  for (let pivot = 0; pivot < TERMS; pivot++) {
    for (let row = pivot + 1; row < TERMS; row++) {
      const factor = at(system, row * WIDTH + pivot) / at(system, pivot * WIDTH + pivot);
      if (factor === 0) continue;
      for (let column = pivot; column < WIDTH; column++) {
        add(system, row * WIDTH + column, -factor * at(system, pivot * WIDTH + column));
      }
    }
  }
  for (let row = TERMS - 1; row >= 0; row--) {
    let rest = at(system, row * WIDTH + TERMS);
    for (let column = row + 1; column < TERMS; column++)
      rest -= at(system, row * WIDTH + column) * at(solution, column);
    solution[row] = rest / at(system, row * WIDTH + row);
  }
}

function at(values: Float64Array, index: number): number {
  return values[index] ?? 0;
}

function add(values: Float64Array, index: number, change: number): void {
  values[index] = at(values, index) + change;
}

function dot(values: Float64Array, from: number, terms: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < TERMS; index++) sum += at(values, from + index) * at(terms, index);
  return sum;
}
