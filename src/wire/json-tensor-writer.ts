import { BYTES_LENGTH_SIZE, bytesElementEnd } from './bytes-tensor.ts';
import { fromBf16, fromFp16 } from './half-precision.ts';
import { Byte } from './json-bytes.ts';
import { MAX_NUMBER_BYTES, writeDouble, writeFloat, writeInteger, writeText } from './json-digits.ts';
import { JsonStringWriter, MAX_STRING_STEP_BYTES } from './json-string-writer.ts';
import { DATATYPE_BYTES, type Datatype } from './tensor.ts';

/** The least room that a step is worth. */
export const MIN_STEP_BYTES = Math.max(MAX_NUMBER_BYTES, MAX_STRING_STEP_BYTES) + 1;

/**
 * Writes the raw elements of a tensor as JSON, flat and without the brackets around them, into one buffer after another. BYTES are
 * read as UTF-8, with replacement characters where they are none.
 */
export class JsonTensorWriter {
  readonly #elements: number;
  readonly #writer: ElementWriter;
  #index = 0;
  /** The element has begun, and goes on. */
  #isInside = false;

  constructor(datatype: Datatype, raw: Uint8Array, elements: number) {
    this.#elements = elements;
    this.#writer = datatype === 'BYTES' ? new StringElements(raw) : new NumberElements(datatype, raw);
  }

  get isDone(): boolean {
    return this.#index === this.#elements;
  }

  /**
   * Writes on, until all elements are written or `target` is nearly full.
   * @returns where that ends
   * @throws BytesTensorError
   */
  write(target: Buffer, start: number): number {
    const last = target.length - MIN_STEP_BYTES;
    let at = start;
    while (this.#index < this.#elements && at <= last) {
      if (this.#index > 0 && !this.#isInside) target[at++] = Byte.COMMA;
      at = this.#writer.write(target, at, this.#index);
      this.#isInside = !this.#writer.isDone;
      if (!this.#isInside) this.#index += 1;
    }
    return at;
  }
}

interface ElementWriter {
  /** Whether the element is written. */
  readonly isDone: boolean;
  /** Writes the element, or goes on with it. @returns where that ends */
  write(target: Buffer, start: number, index: number): number;
}

type WriteNumber = (target: Buffer, start: number, view: DataView, offset: number) => number;

const WRITE: Readonly<Record<Exclude<Datatype, 'BYTES'>, WriteNumber>> = {
  BOOL: (target, start, view, offset) => writeText(target, start, view.getUint8(offset) === 0 ? 'false' : 'true'),
  UINT8: (target, start, view, offset) => writeInteger(target, start, view.getUint8(offset)),
  UINT16: (target, start, view, offset) => writeInteger(target, start, view.getUint16(offset, true)),
  UINT32: (target, start, view, offset) => writeInteger(target, start, view.getUint32(offset, true)),
  UINT64: (target, start, view, offset) => {
    return writeInteger64(target, start, view, offset, view.getUint32(offset + 4, true), false);
  },
  INT8: (target, start, view, offset) => writeInteger(target, start, view.getInt8(offset)),
  INT16: (target, start, view, offset) => writeInteger(target, start, view.getInt16(offset, true)),
  INT32: (target, start, view, offset) => writeInteger(target, start, view.getInt32(offset, true)),
  INT64: (target, start, view, offset) => {
    return writeInteger64(target, start, view, offset, view.getInt32(offset + 4, true), true);
  },
  FP16: (target, start, view, offset) => writeDouble(target, start, fromFp16(view.getUint16(offset, true))),
  BF16: (target, start, view, offset) => writeDouble(target, start, fromBf16(view.getUint16(offset, true))),
  FP32: (target, start, view, offset) => writeFloat(target, start, view.getFloat32(offset, true)),
  FP64: (target, start, view, offset) => writeDouble(target, start, view.getFloat64(offset, true)),
};

/** Bound of the high half below which a number holds all 64 bits exactly. */
const SAFE_HIGH = 2 ** 21;

function writeInteger64(
  target: Buffer,
  start: number,
  view: DataView,
  offset: number,
  high: number,
  isSigned: boolean,
): number {
  if (high >= -SAFE_HIGH && high < SAFE_HIGH) {
    return writeInteger(target, start, high * 2 ** 32 + view.getUint32(offset, true));
  }
  const value = isSigned ? view.getBigInt64(offset, true) : view.getBigUint64(offset, true);
  return writeText(target, start, String(value));
}

class NumberElements implements ElementWriter {
  readonly isDone = true;
  readonly #view: DataView;
  readonly #size: number;
  readonly #write: WriteNumber;

  constructor(datatype: Exclude<Datatype, 'BYTES'>, raw: Uint8Array) {
    this.#view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    this.#size = DATATYPE_BYTES[datatype];
    this.#write = WRITE[datatype];
  }

  write(target: Buffer, start: number, index: number): number {
    return this.#write(target, start, this.#view, index * this.#size);
  }
}

class StringElements implements ElementWriter {
  readonly #raw: Uint8Array;
  readonly #string = new JsonStringWriter();
  /** Where the next element begins. */
  #at = 0;

  constructor(raw: Uint8Array) {
    this.#raw = raw;
  }

  get isDone(): boolean {
    return this.#string.isDone;
  }

  write(target: Buffer, start: number): number {
    if (!this.#string.isDone) return this.#string.write(target, start);
    const end = bytesElementEnd(this.#raw, this.#at);
    const text = this.#raw.subarray(this.#at + BYTES_LENGTH_SIZE, end);
    this.#at = end;
    return this.#string.begin(text, target, start);
  }
}
