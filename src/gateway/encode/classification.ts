/** Triton's classification extension: the largest elements of each row, as `value:index` or `value:index:label`. */

import { BytesTensorWriter } from '../../wire/bytes-tensor.ts';
import { DATATYPE_BYTES, type Datatype } from '../../wire/tensor.ts';
import type { BatchAxis } from '../admit/infer-tensors.ts';
import type { OutputTensor } from '../batch/queued-request.ts';
import { InferError } from '../errors.ts';

type Reader = (view: DataView, at: number) => number | bigint;

const READERS: { readonly [name in Datatype]?: Reader } = {
  UINT8: (view, at) => view.getUint8(at),
  UINT16: (view, at) => view.getUint16(at, true),
  UINT32: (view, at) => view.getUint32(at, true),
  UINT64: (view, at) => view.getBigUint64(at, true),
  INT8: (view, at) => view.getInt8(at),
  INT16: (view, at) => view.getInt16(at, true),
  INT32: (view, at) => view.getInt32(at, true),
  INT64: (view, at) => view.getBigInt64(at, true),
  FP32: (view, at) => view.getFloat32(at, true),
  FP64: (view, at) => view.getFloat64(at, true),
};

/** The most classes that one answer names, and of one row: more than any label file has, in a moment's work. */
const MAX_CLASSES = 1_048_576;
const MAX_CLASSES_OF_A_ROW = 65_536;

/** Cost of a class besides the search for it, in elements. */
const ELEMENTS_OF_A_TEXT = 16;

/**
 * A BYTES tensor of shape [rows, min(count, elements of a row)], or without the first axis where the model does not batch.
 * Descending; equal values keep the order of their indices; NaN counts as largest, so that it is seen.
 */
export class Classification {
  readonly #output: OutputTensor;
  readonly #labels: readonly string[];
  readonly #axis: BatchAxis;
  readonly #read: Reader;
  readonly #view: DataView;
  readonly #size: number;
  readonly #rows: number;
  readonly #perRow: number;
  readonly #kept: number;
  readonly #texts = new BytesTensorWriter();
  #row = 0;
  /** The next element of the row. */
  #index = 0;
  #largest: LargestElements;

  /** @throws InferError `limit_exceeded` where more classes are asked for than an answer names */
  constructor(output: OutputTensor, count: number, labels: readonly string[], axis: BatchAxis) {
    const read = READERS[output.datatype];
    if (read === undefined) throw new TypeError(`${output.datatype} has no classes`);
    this.#output = output;
    this.#labels = labels;
    this.#axis = axis;
    this.#read = read;
    this.#size = DATATYPE_BYTES[output.datatype] ?? 1;
    this.#rows = axis === 'rows' ? (output.shape[0] ?? 1) : 1;
    this.#perRow = this.#rows === 0 ? 0 : output.data.byteLength / this.#size / this.#rows;
    this.#view = new DataView(output.data.buffer, output.data.byteOffset, output.data.byteLength);
    this.#kept = Math.min(count, this.#perRow);
    if (this.#kept > MAX_CLASSES_OF_A_ROW || this.#kept * this.#rows > MAX_CLASSES) {
      const text = `classification of output '${output.name}': ${this.#kept} classes of ${this.#rows} rows, at most ${MAX_CLASSES_OF_A_ROW} of a row and ${MAX_CLASSES} of an answer are named`;
      throw new InferError('limit_exceeded', text);
    }
    this.#largest = new LargestElements(this.#kept);
  }

  /** Looks at about so many elements more. @returns whether those were all */
  advance(elements = Number.POSITIVE_INFINITY): boolean {
    let left = elements;
    while (this.#row < this.#rows) {
      if (left <= 0) return false;
      const from = this.#index;
      const to = Math.min(this.#perRow, from + left);
      let at = (this.#row * this.#perRow + from) * this.#size;
      for (let index = from; index < to; index++) {
        this.#largest.push(this.#read(this.#view, at), index);
        at += this.#size;
      }
      left -= to - from;
      this.#index = to;
      if (to < this.#perRow) return false;
      this.#name();
      left -= 1 + this.#kept * ELEMENTS_OF_A_TEXT;
    }
    return true;
  }

  /** Once all elements were looked at. */
  finish(): OutputTensor {
    const shape = this.#axis === 'rows' ? [this.#rows, this.#kept] : [this.#kept];
    return { name: this.#output.name, datatype: 'BYTES', shape, data: this.#texts.finish() };
  }

  #name(): void {
    for (const { value, index } of this.#largest.take()) {
      const label = this.#labels[index] ?? '';
      this.#texts.text(`${format(value)}:${index}${label === '' ? '' : `:${label}`}`);
    }
    this.#row++;
    this.#index = 0;
  }
}

/** The classes of an output, at once. */
export function classify(
  output: OutputTensor,
  count: number,
  labels: readonly string[],
  axis: BatchAxis,
): OutputTensor {
  const classification = new Classification(output, count, labels, axis);
  classification.advance();
  return classification.finish();
}

interface Element {
  readonly value: number | bigint;
  readonly index: number;
}

/** The largest of the elements that are pushed, in the order of their indices: a binary heap with the least of them on top. */
class LargestElements {
  readonly #count: number;
  #heap: Element[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  push(value: number | bigint, index: number): void {
    const heap = this.#heap;
    if (heap.length < this.#count) {
      heap.push({ value, index });
      this.#rise(heap.length - 1);
      return;
    }
    const least = heap[0];
    // Equal values stay in the order in which they came.
    if (least === undefined || compare(value, least.value) <= 0) return;
    heap[0] = { value, index };
    this.#sink();
  }

  /** Empties the heap. @returns its elements, the largest first */
  take(): Element[] {
    const elements = this.#heap.sort((a, b) => (isLess(a, b) ? 1 : -1));
    this.#heap = [];
    return elements;
  }

  #rise(from: number): void {
    const heap = this.#heap;
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!isLess(heap[at], heap[parent])) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(): void {
    const heap = this.#heap;
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      if (left >= heap.length) return;
      const least = left + 1 < heap.length && isLess(heap[left + 1], heap[left]) ? left + 1 : left;
      if (!isLess(heap[least], heap[at])) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #swap(one: number, other: number): void {
    const heap = this.#heap;
    [heap[one], heap[other]] = [heap[other] as Element, heap[one] as Element];
  }
}

/** The later one of equal values is less. */
function isLess(one: Element | undefined, other: Element | undefined): boolean {
  const order = compare(one?.value, other?.value);
  return order < 0 || (order === 0 && (one?.index ?? 0) > (other?.index ?? 0));
}

function compare(a: number | bigint = 0, b: number | bigint = 0): number {
  const aIsNaN = Number.isNaN(a);
  const bIsNaN = Number.isNaN(b);
  if (aIsNaN || bIsNaN) return Number(aIsNaN) - Number(bIsNaN);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** As C prints `%f`. */
function format(value: number | bigint): string {
  if (typeof value === 'bigint') return `${value}.000000`;
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  // From here on `toFixed` gives an exponent, and a double has no fraction.
  if (Math.abs(value) >= 1e21) return `${BigInt(value)}.000000`;
  return value.toFixed(6);
}
