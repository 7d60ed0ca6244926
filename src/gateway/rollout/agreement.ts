/**
 * How far two answers to one request agree.
 *
 * The work is done in slices, because answers may be large and everything else of the server waits meanwhile.
 */

import { fromBf16, fromFp16 } from '../../wire/half-precision.ts';
import { DATATYPE_BYTES, type Datatype } from '../../wire/tensor.ts';
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

/** One comparison. Call `advance` until it says true; then `agreement` is what was found. */
export class Comparison {
  readonly #pairs: readonly (readonly [OutputTensor, OutputTensor])[];
  #result: Agreement['result'];
  #absolute = 0;
  #relative = 0;
  #rowsAgreeing = 0;
  #rowsDisagreeing = 0;
  /** The pair that is under way, and how many of its elements, or bytes, are done. */
  #pair = 0;
  #done = 0;
  /** The largest elements of the row under way, and whether their places are the same. */
  readonly #primaryRow = new Largest();
  readonly #shadowRow = new Largest();

  /** @param shadow may have outputs of its own besides: they are not looked at. */
  constructor(primary: readonly OutputTensor[], shadow: readonly OutputTensor[]) {
    const pairs = primary.flatMap((output) => {
      const other = shadow.find(({ name }) => name === output.name);
      return other !== undefined && isComparable(output, other) ? [[output, other] as const] : [];
    });
    const isWhole = pairs.length === primary.length;
    this.#pairs = isWhole ? pairs : [];
    this.#result = isWhole ? 'equal' : 'incomparable';
  }

  get agreement(): Agreement {
    return {
      result: this.#result,
      absolute: this.#absolute,
      relative: this.#relative,
      rowsAgreeing: this.#rowsAgreeing,
      rowsDisagreeing: this.#rowsDisagreeing,
    };
  }

  /** Compares the next slice. @returns whether it was the last one. */
  advance(elements: number = ELEMENTS_OF_A_SLICE): boolean {
    let left = elements;
    while (left > 0) {
      const pair = this.#pairs[this.#pair];
      if (pair === undefined) return true;
      const [primary, shadow] = pair;
      const read = READERS[primary.datatype];
      const done =
        read === undefined ? this.#compareBytes(primary, shadow, left) : this.#compareFloats(pair, read, left);
      left -= done;
      this.#done += done;
      if (done > 0 && this.#done < lengthOf(primary, read !== undefined)) continue;
      this.#pair++;
      this.#done = 0;
    }
    return this.#pair === this.#pairs.length;
  }

  #compareBytes(primary: OutputTensor, shadow: OutputTensor, left: number): number {
    const to = Math.min(this.#done + left, primary.data.byteLength);
    const ours = primary.data.subarray(this.#done, to);
    const theirs = shadow.data.subarray(this.#done, to);
    // Strings of one shape may be of different lengths.
    const areAsLong = primary.data.byteLength === shadow.data.byteLength;
    if (!areAsLong || Buffer.compare(ours, theirs) !== 0) this.#result = 'different';
    return ours.byteLength;
  }

  #compareFloats([primary, shadow]: readonly [OutputTensor, OutputTensor], read: Reader, left: number): number {
    const size = DATATYPE_BYTES[primary.datatype] ?? 1;
    const ours = viewOf(primary.data);
    const theirs = viewOf(shadow.data);
    const columns = primary.shape.at(-1) ?? 1;
    const hasRows = columns > 1;
    const to = Math.min(this.#done + left, primary.data.byteLength / size);
    let column = columns === 0 ? 0 : this.#done % columns;
    for (let index = this.#done; index < to; index++) {
      const a = read(ours, index * size);
      const b = read(theirs, index * size);
      if (a !== b) this.#differ(a, b);
      if (!hasRows) continue;
      this.#primaryRow.see(a, column);
      this.#shadowRow.see(b, column);
      column++;
      if (column < columns) continue;
      column = 0;
      if (this.#primaryRow.take() === this.#shadowRow.take()) this.#rowsAgreeing++;
      else this.#rowsDisagreeing++;
    }
    return to - this.#done;
  }

  #differ(a: number, b: number): void {
    // Of what is not a number the bits may differ without meaning.
    if (Number.isNaN(a) && Number.isNaN(b)) return;
    this.#result = 'different';
    const areFinite = Number.isFinite(a) && Number.isFinite(b);
    const absolute = areFinite ? Math.abs(a - b) : Number.POSITIVE_INFINITY;
    this.#absolute = Math.max(this.#absolute, absolute);
    const larger = Math.max(Math.abs(a), Math.abs(b));
    this.#relative = Math.max(this.#relative, areFinite ? absolute / larger : Number.POSITIVE_INFINITY);
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

type Reader = (view: DataView, at: number) => number;

/** Floating-point datatypes; the elements of all others are equal or not. */
const READERS: Partial<Readonly<Record<Datatype, Reader>>> = {
  FP32: (view, at) => view.getFloat32(at, true),
  FP64: (view, at) => view.getFloat64(at, true),
  FP16: (view, at) => fromFp16(view.getUint16(at, true)),
  BF16: (view, at) => fromBf16(view.getUint16(at, true)),
};

function isComparable(a: OutputTensor, b: OutputTensor): boolean {
  return (
    a.datatype === b.datatype &&
    a.shape.length === b.shape.length &&
    a.shape.every((size, axis) => size === b.shape[axis]) &&
    (READERS[a.datatype] === undefined || a.data.byteLength === b.data.byteLength)
  );
}

function lengthOf({ data, datatype }: OutputTensor, inElements: boolean): number {
  return inElements ? data.byteLength / (DATATYPE_BYTES[datatype] ?? 1) : data.byteLength;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
