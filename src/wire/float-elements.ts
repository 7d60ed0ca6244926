/** Elements of the floating-point datatypes, read as numbers. */

import { fromBf16, fromFp16 } from './half-precision.ts';
import type { Datatype } from './tensor.ts';

export type FloatReader = (view: DataView, at: number) => number;

/** By datatype; integers, booleans and strings have none. */
export const FLOAT_READERS: Partial<Readonly<Record<Datatype, FloatReader>>> = {
  FP32: (view, at) => view.getFloat32(at, true),
  FP64: (view, at) => view.getFloat64(at, true),
  FP16: (view, at) => fromFp16(view.getUint16(at, true)),
  BF16: (view, at) => fromBf16(view.getUint16(at, true)),
};

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
