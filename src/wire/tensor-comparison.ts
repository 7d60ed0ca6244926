/** How far two tensors of one datatype and shape are apart. */

import { FLOAT_READERS, type FloatReader, viewOf } from './float-elements.ts';
import { DATATYPE_BYTES, type Datatype, type Shape } from './tensor.ts';

export interface RawTensor {
  readonly datatype: Datatype;
  readonly shape: Shape;
  readonly data: Uint8Array;
}

/** Elements of floating-point datatypes are compared as numbers; other elements are equal or not. */
export function isFloatingPoint(datatype: Datatype): boolean {
  return FLOAT_READERS[datatype] !== undefined;
}

/** Result of comparisons, of one pair of tensors or of several. */
export class TensorDifference {
  isEqual = true;
  /** Largest difference of two floating-point elements; infinite where only one of two is finite, or a number. */
  absolute = 0;
  /** Largest of those differences, each as a share of the larger of its two elements: 0 to 2. Infinite as above. */
  relative = 0;
  /** Rows of floating-point tensors with a last axis above 1, by whether the largest element has the same place in both. */
  rowsAgreeing = 0;
  rowsDisagreeing = 0;

  /** Two floating-point elements that are not equal. */
  differ(a: number, b: number): void {
    // NaNs may differ in bits without a difference in meaning.
    if (Number.isNaN(a) && Number.isNaN(b)) return;
    this.isEqual = false;
    const areFinite = Number.isFinite(a) && Number.isFinite(b);
    const absolute = areFinite ? Math.abs(a - b) : Number.POSITIVE_INFINITY;
    this.absolute = Math.max(this.absolute, absolute);
    const larger = Math.max(Math.abs(a), Math.abs(b));
    this.relative = Math.max(this.relative, areFinite ? absolute / larger : Number.POSITIVE_INFINITY);
  }
}

/** One comparison, in as many steps as its caller likes. */
export class TensorComparison {
  readonly #one: RawTensor;
  readonly #other: RawTensor;
  readonly #found: TensorDifference;
  readonly #read: FloatReader | undefined;
  /** Elements of floating-point tensors, bytes of others. */
  readonly #length: number;
  #done = 0;
  /** The largest elements of the row under way, and whether their places are the same. */
  readonly #rowOfOne = new Largest();
  readonly #rowOfOther = new Largest();

  /** @param found gets the differences; floating-point tensors have one length */
  constructor(one: RawTensor, other: RawTensor, found: TensorDifference) {
    this.#one = one;
    this.#other = other;
    this.#found = found;
    this.#read = FLOAT_READERS[one.datatype];
    const { byteLength } = one.data;
    this.#length = this.#read === undefined ? byteLength : byteLength / (DATATYPE_BYTES[one.datatype] ?? 1);
  }

  get isDone(): boolean {
    return this.#done >= this.#length;
  }

  /** Compares up to so many elements, or bytes. @returns how many it compared */
  advance(most: number): number {
    const to = Math.min(this.#done + most, this.#length);
    if (this.#read === undefined) this.#compareBytes(to);
    else this.#compareFloats(this.#read, to);
    const done = to - this.#done;
    this.#done = to;
    return done;
  }

  #compareBytes(to: number): void {
    const ours = this.#one.data.subarray(this.#done, to);
    const theirs = this.#other.data.subarray(this.#done, to);
    // Strings of one shape may be of different lengths.
    const areAsLong = this.#one.data.byteLength === this.#other.data.byteLength;
    if (!areAsLong || Buffer.compare(ours, theirs) !== 0) this.#found.isEqual = false;
  }

  #compareFloats(read: FloatReader, to: number): void {
    const { datatype, shape, data } = this.#one;
    const size = DATATYPE_BYTES[datatype] ?? 1;
    const ours = viewOf(data);
    const theirs = viewOf(this.#other.data);
    const columns = shape.at(-1) ?? 1;
    const hasRows = columns > 1;
    let column = columns === 0 ? 0 : this.#done % columns;
    for (let index = this.#done; index < to; index++) {
      const a = read(ours, index * size);
      const b = read(theirs, index * size);
      if (a !== b) this.#found.differ(a, b);
      if (!hasRows) continue;
      this.#rowOfOne.see(a, column);
      this.#rowOfOther.see(b, column);
      column++;
      if (column < columns) continue;
      column = 0;
      if (this.#rowOfOne.take() === this.#rowOfOther.take()) this.#found.rowsAgreeing++;
      else this.#found.rowsDisagreeing++;
    }
  }
}

/** The place of the largest of a row's elements; of equal ones the first. */
class Largest {
  #value = Number.NEGATIVE_INFINITY;
  #place = 0;

  see(value: number, place: number): void {
    if (value <= this.#value || Number.isNaN(value)) return;
    this.#value = value;
    this.#place = place;
  }

  take(): number {
    const place = this.#place;
    this.#value = Number.NEGATIVE_INFINITY;
    this.#place = 0;
    return place;
  }
}
