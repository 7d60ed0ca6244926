/**
 * How far two answers to one request agree.
 *
 * The work is done in slices, because answers may be large and all other work of the server waits meanwhile.
 */

import { isFloatingPoint, TensorComparison, TensorDifference } from '../../wire/tensor-comparison.ts';
import type { OutputTensor } from '../batch/queued-request.ts';

export interface Agreement {
  /** `equal`: every element is. `incomparable`: the shadow lacks an output, or gives it another datatype or shape. */
  readonly result: 'equal' | 'different' | 'incomparable';
  /** Largest difference of two elements of floating-point outputs; infinite where only one of two is finite, or a number. */
  readonly absolute: number;
  /** Largest of those differences, each as a share of the larger of its two elements: 0 to 2. Infinite as above. */
  readonly relative: number;
  /** Rows of floating-point outputs with a last axis above 1, by whether the largest element has the same place in both. */
  readonly rowsAgreeing: number;
  readonly rowsDisagreeing: number;
}

/** A millisecond or two of half-precision numbers, the slowest to read. */
const ELEMENTS_OF_A_SLICE = 16_384;

/** One comparison. Call `advance` until it returns true; then `agreement` is the result. */
export class Comparison {
  /** Those that are still to do, the next one last. */
  readonly #left: TensorComparison[];
  readonly #isComparable: boolean;
  readonly #found = new TensorDifference();

  /** @param shadow may have outputs of its own besides: they are not looked at. */
  constructor(primary: readonly OutputTensor[], shadow: readonly OutputTensor[]) {
    const pairs = primary.flatMap((output) => {
      const other = shadow.find(({ name }) => name === output.name);
      return other !== undefined && isComparable(output, other) ? [[output, other] as const] : [];
    });
    this.#isComparable = pairs.length === primary.length;
    this.#left = this.#isComparable
      ? pairs.map(([output, other]) => new TensorComparison(output, other, this.#found)).reverse()
      : [];
  }

  get agreement(): Agreement {
    const { isEqual, absolute, relative, rowsAgreeing, rowsDisagreeing } = this.#found;
    const result = this.#isComparable ? (isEqual ? 'equal' : 'different') : 'incomparable';
    return { result, absolute, relative, rowsAgreeing, rowsDisagreeing };
  }

  /** Compares the next slice. @returns whether it was the last one. */
  advance(elements: number = ELEMENTS_OF_A_SLICE): boolean {
    let left = elements;
    for (let pair = this.#left.at(-1); pair !== undefined && left > 0; pair = this.#left.at(-1)) {
      left -= pair.advance(left);
      if (pair.isDone) this.#left.pop();
    }
    return this.#left.length === 0;
  }
}

function isComparable(a: OutputTensor, b: OutputTensor): boolean {
  return (
    a.datatype === b.datatype &&
    a.shape.length === b.shape.length &&
    a.shape.every((size, axis) => size === b.shape[axis]) &&
    (!isFloatingPoint(a.datatype) || a.data.byteLength === b.data.byteLength)
  );
}
