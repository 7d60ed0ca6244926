/** The elements of a tensor as JSON has them, and their raw form: booleans, numbers, integers of 64 bits, texts. */

import { decodeBytesTensor, encodeBytesTensor } from './bytes-tensor.ts';
import { fromBf16, fromFp16, toBf16, toFp16 } from './half-precision.ts';
import { DATATYPE_BYTES, type Datatype } from './tensor.ts';

export type JsonElement = boolean | number | bigint | string;

/** A value is no element of the datatype; the text names it and what was expected. */
export class JsonTensorError extends Error {}

type FixedDatatype = Exclude<Datatype, 'BYTES'>;

/** How one element is written and read, little-endian. */
interface Element {
  write(view: DataView, at: number, value: unknown, index: number, datatype: Datatype): void;
  read(view: DataView, at: number): JsonElement;
}

const ELEMENTS: Readonly<Record<FixedDatatype, Element>> = {
  BOOL: {
    write(view, at, value, index) {
      if (typeof value !== 'boolean') throw unexpected(index, value, 'a boolean');
      view.setUint8(at, Number(value));
    },
    read: (view, at) => view.getUint8(at) !== 0,
  },
  UINT8: integer(
    (view, at, value) => view.setUint8(at, value),
    (view, at) => view.getUint8(at),
  ),
  UINT16: integer(
    (view, at, value) => view.setUint16(at, value, true),
    (view, at) => view.getUint16(at, true),
  ),
  UINT32: integer(
    (view, at, value) => view.setUint32(at, value, true),
    (view, at) => view.getUint32(at, true),
  ),
  UINT64: bigInteger(
    (view, at, value) => view.setBigUint64(at, value, true),
    (view, at) => view.getBigUint64(at, true),
  ),
  INT8: integer(
    (view, at, value) => view.setInt8(at, value),
    (view, at) => view.getInt8(at),
  ),
  INT16: integer(
    (view, at, value) => view.setInt16(at, value, true),
    (view, at) => view.getInt16(at, true),
  ),
  INT32: integer(
    (view, at, value) => view.setInt32(at, value, true),
    (view, at) => view.getInt32(at, true),
  ),
  INT64: bigInteger(
    (view, at, value) => view.setBigInt64(at, value, true),
    (view, at) => view.getBigInt64(at, true),
  ),
  FP16: {
    write: (view, at, value, index) => view.setUint16(at, toFp16(numberOf(value, index)), true),
    read: (view, at) => fromFp16(view.getUint16(at, true)),
  },
  BF16: {
    write: (view, at, value, index) => view.setUint16(at, toBf16(numberOf(value, index)), true),
    read: (view, at) => fromBf16(view.getUint16(at, true)),
  },
  FP32: {
    write: (view, at, value, index) => view.setFloat32(at, numberOf(value, index), true),
    read: (view, at) => shortest(view.getFloat32(at, true)),
  },
  FP64: {
    write: (view, at, value, index) => view.setFloat64(at, numberOf(value, index), true),
    read: (view, at) => view.getFloat64(at, true),
  },
};

/**
 * The raw form of flat `values`.
 * @throws JsonTensorError for a value that is no element of `datatype`, or that an integer datatype cannot hold.
 */
export function jsonToRaw(datatype: Datatype, values: readonly unknown[]): Uint8Array {
  if (datatype === 'BYTES') return encodeBytesTensor(values.map(bytesOf));
  const size = DATATYPE_BYTES[datatype];
  const raw = new Uint8Array(values.length * size);
  const view = new DataView(raw.buffer);
  const element = ELEMENTS[datatype];
  for (let index = 0; index < values.length; index++) {
    element.write(view, index * size, values[index], index, datatype);
  }
  return raw;
}

/**
 * The elements of `raw`, flat. BYTES are read as UTF-8, with replacement characters where they are none. NaN and the
 * infinities stay numbers, which JSON writes as `null`.
 * @throws BytesTensorError
 */
export function rawToJson(datatype: Datatype, raw: Uint8Array, elements: number): JsonElement[] {
  if (datatype === 'BYTES') {
    const decoder = new TextDecoder();
    return decodeBytesTensor(raw, elements).map((bytes) => decoder.decode(bytes));
  }
  const size = DATATYPE_BYTES[datatype];
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const { read } = ELEMENTS[datatype];
  return Array.from({ length: elements }, (_, index) => read(view, index * size));
}

function integer(
  set: (view: DataView, at: number, value: number) => void,
  get: (view: DataView, at: number) => number,
): Element {
  return {
    write(view, at, value, index, datatype) {
      const number = numberOf(value, index);
      set(view, at, number);
      if (get(view, at) !== number) throw outside(index, number, datatype);
    },
    read: get,
  };
}

function bigInteger(
  set: (view: DataView, at: number, value: bigint) => void,
  get: (view: DataView, at: number) => bigint,
): Element {
  return {
    write(view, at, value, index, datatype) {
      if (typeof value !== 'bigint' && !Number.isInteger(value)) throw unexpected(index, value, 'an integer');
      const whole = BigInt(value as bigint | number);
      set(view, at, whole);
      if (get(view, at) !== whole) throw outside(index, whole, datatype);
    },
    read: get,
  };
}

function numberOf(value: unknown, index: number): number {
  if (typeof value === 'number') return value;
  // An integer that no number holds exactly: a float takes the nearest.
  if (typeof value === 'bigint') return Number(value);
  throw unexpected(index, value, 'a number');
}

function bytesOf(value: unknown, index: number): Uint8Array {
  if (typeof value !== 'string') throw unexpected(index, value, 'a string');
  return Buffer.from(value);
}

const MAX_SHOWN = 50;

function unexpected(index: number, value: unknown, wanted: string): JsonTensorError {
  const shown = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? 'nothing');
  return new JsonTensorError(`element ${index} is ${shown.slice(0, MAX_SHOWN)}, expected ${wanted}`);
}

function outside(index: number, value: number | bigint, datatype: Datatype): JsonTensorError {
  return new JsonTensorError(`element ${index} is ${value}, which is no ${datatype}`);
}

/** The number with the fewest digits that rounds to this FP32: 0.1, not 0.10000000149011612. */
function shortest(value: number): number {
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return value;
  for (let digits = 6; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number.isFinite(value) ? Number(value.toPrecision(9)) : value;
}
