/** The value that padding writes, as an element of a datatype. */

import { toBf16, toFp16 } from '../../../wire/half-precision.ts';
import { DATATYPE_BYTES, type Datatype } from '../../../wire/tensor.ts';

/** Inclusive ranges of the integer datatypes; 64-bit ranges as far as numbers are exact. */
const RANGES: { readonly [datatype: string]: readonly [least: number, most: number] | undefined } = {
  BOOL: [0, 1],
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
  UINT32: [0, 0xffff_ffff],
  UINT64: [0, Number.MAX_SAFE_INTEGER],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
  INT32: [-0x8000_0000, 0x7fff_ffff],
  INT64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

/** Bytes of one filler: longer padding is several views of it. */
const FILLER_BYTES = 16 * 1024;
/** Nearly all padding. */
const ZEROS = new Uint8Array(FILLER_BYTES);

/** The value again and again, in raw form; `undefined` where the datatype cannot hold it. */
export function fillerOf(datatype: Datatype, value: number): Uint8Array | undefined {
  const element = encode(datatype, value);
  if (element === undefined) return undefined;
  return element.every((byte) => byte === 0) ? ZEROS : new Uint8Array(Buffer.alloc(FILLER_BYTES, element));
}

/** One element in raw form. */
function encode(datatype: Datatype, value: number): Uint8Array | undefined {
  const size = DATATYPE_BYTES[datatype];
  if (size === undefined) return undefined;
  const range = RANGES[datatype];
  if (range !== undefined) {
    if (!Number.isInteger(value) || value < range[0] || value > range[1]) return undefined;
    // The low bytes of two's complement are the same in every width.
    return new Uint8Array(BigInt64Array.of(BigInt(value)).buffer).subarray(0, size);
  }
  if (!Number.isFinite(value)) return undefined;
  switch (datatype) {
    case 'FP64':
      return new Uint8Array(Float64Array.of(value).buffer);
    case 'FP32':
      return Number.isFinite(Math.fround(value)) ? new Uint8Array(Float32Array.of(value).buffer) : undefined;
    case 'FP16':
      return finiteBits(toFp16(value), 0x7c00);
    case 'BF16':
      return finiteBits(toBf16(value), 0x7f80);
    default:
      return undefined;
  }
}

/** Bits whose exponent is all ones are no number. */
function finiteBits(bits: number, exponent: number): Uint8Array | undefined {
  return (bits & exponent) === exponent ? undefined : new Uint8Array(Uint16Array.of(bits).buffer);
}
