import { toBf16, toFp16 } from './half-precision.ts';
import { hasWord, showValue } from './json-bytes.ts';
import { JsonNumber } from './json-number.ts';
import { JsonTensorError } from './json-tensor.ts';
import { DATATYPE_BYTES, type Datatype } from './tensor.ts';

/** How elements of one kind are read. */
export interface JsonElements {
  /** Valid when all elements are read. */
  readonly raw: Uint8Array;
  /**
   * Reads the element `index`, which begins at `at`.
   * @returns where it ends; or, where it goes on beyond `stop`, the complement (`~`) of where to call this again
   * @throws JsonTensorError
   */
  read(at: number, index: number, stop: number): number;
}

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');

export class JsonBooleans implements JsonElements {
  readonly raw: Uint8Array;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, elements: number) {
    this.raw = new Uint8Array(elements);
    this.#bytes = bytes;
  }

  read(at: number, index: number): number {
    if (hasWord(this.#bytes, at, TRUE)) {
      this.raw[index] = 1;
      return at + TRUE.length;
    }
    if (hasWord(this.#bytes, at, FALSE)) return at + FALSE.length;
    throw unexpectedElement(index, showValue(this.#bytes, at), 'a boolean');
  }
}

type NumericDatatype = Exclude<Datatype, 'BOOL' | 'BYTES'>;
/** @returns false: the number is not of the datatype */
type WriteNumber = (number: JsonNumber, view: DataView, offset: number) => boolean;

const WRITE: Readonly<Record<NumericDatatype, WriteNumber>> = {
  UINT8: (number, view, offset) => {
    view.setUint8(offset, number.toDouble());
    return view.getUint8(offset) === number.toDouble();
  },
  UINT16: (number, view, offset) => {
    view.setUint16(offset, number.toDouble(), true);
    return view.getUint16(offset, true) === number.toDouble();
  },
  UINT32: (number, view, offset) => {
    view.setUint32(offset, number.toDouble(), true);
    return view.getUint32(offset, true) === number.toDouble();
  },
  UINT64: (number, view, offset) => number.writeInteger64(view, offset, false),
  INT8: (number, view, offset) => {
    view.setInt8(offset, number.toDouble());
    return view.getInt8(offset) === number.toDouble();
  },
  INT16: (number, view, offset) => {
    view.setInt16(offset, number.toDouble(), true);
    return view.getInt16(offset, true) === number.toDouble();
  },
  INT32: (number, view, offset) => {
    view.setInt32(offset, number.toDouble(), true);
    return view.getInt32(offset, true) === number.toDouble();
  },
  INT64: (number, view, offset) => number.writeInteger64(view, offset, true),
  FP16: (number, view, offset) => {
    view.setUint16(offset, toFp16(number.toDouble()), true);
    return true;
  },
  BF16: (number, view, offset) => {
    view.setUint16(offset, toBf16(number.toDouble()), true);
    return true;
  },
  FP32: (number, view, offset) => {
    view.setFloat32(offset, number.toFloat(), true);
    return true;
  },
  FP64: (number, view, offset) => {
    view.setFloat64(offset, number.toDouble(), true);
    return true;
  },
};

export class JsonNumbers implements JsonElements {
  readonly raw: Uint8Array;
  readonly #bytes: Buffer;
  readonly #datatype: NumericDatatype;
  readonly #size: number;
  readonly #view: DataView;
  readonly #write: WriteNumber;
  readonly #number = new JsonNumber();

  constructor(bytes: Buffer, datatype: NumericDatatype, elements: number) {
    this.#size = DATATYPE_BYTES[datatype];
    const raw = new Uint8Array(elements * this.#size);
    this.raw = raw;
    this.#bytes = bytes;
    this.#datatype = datatype;
    this.#view = new DataView(raw.buffer);
    this.#write = WRITE[datatype];
  }

  read(at: number, index: number): number {
    const end = this.#number.read(this.#bytes, at);
    if (end < 0) throw unexpectedElement(index, showValue(this.#bytes, at), 'a number');
    if (!this.#write(this.#number, this.#view, index * this.#size)) {
      throw new JsonTensorError(`element ${index} is ${showValue(this.#bytes, at)}, which is no ${this.#datatype}`);
    }
    return end;
  }
}

export function unexpectedElement(index: number, shown: string, wanted: string): JsonTensorError {
  return new JsonTensorError(`element ${index} is ${shown}, expected ${wanted}`);
}
