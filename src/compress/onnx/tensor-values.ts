/** The values of constant tensors, as typed arrays; ONNX stores them little-endian and row-major. */

import { create } from '@bufbuild/protobuf';
import { type TensorProto, TensorProto_DataType, TensorProtoSchema } from '../../onnx/onnx_pb.ts';
import { fromFp16, toFp16 } from '../../wire/half-precision.ts';

export const DataType = TensorProto_DataType;

export function shapeOf({ dims }: TensorProto): number[] {
  return dims.map(Number);
}

export function elementsOf(tensor: TensorProto): number {
  return shapeOf(tensor).reduce((product, size) => product * size, 1);
}

/** The values of a FLOAT, FLOAT16 or DOUBLE tensor as float32; `undefined` for other types. Never to be changed. */
export function floatsOf(tensor: TensorProto): Float32Array | undefined {
  const { rawData, floatData, doubleData, int32Data } = tensor;
  switch (tensor.dataType) {
    case DataType.FLOAT:
      return floatData.length > 0 ? Float32Array.from(floatData) : new Float32Array(aligned(rawData, 4));
    case DataType.DOUBLE:
      return Float32Array.from(doubleData.length > 0 ? doubleData : new Float64Array(aligned(rawData, 8)));
    case DataType.FLOAT16:
      return fromHalf(int32Data.length > 0 ? Uint16Array.from(int32Data) : new Uint16Array(aligned(rawData, 2)));
    default:
      return undefined;
  }
}

// Node 22 has no Float16Array; there it takes a hundred times as long.
const hasHalf = typeof Float16Array !== 'undefined';

function fromHalf(bits: Uint16Array<ArrayBuffer>): Float32Array {
  return hasHalf ? new Float32Array(new Float16Array(bits.buffer)) : Float32Array.from(bits, fromFp16);
}

/** The bits of the float16 elements that are nearest, ties to even. */
export function toHalf(values: Float32Array): Uint16Array {
  return hasHalf ? new Uint16Array(new Float16Array(values).buffer) : Uint16Array.from(values, toFp16);
}

/** The values of an INT64 or INT32 tensor (shapes, axes); `undefined` for other types. */
export function integersOf(tensor: TensorProto): number[] | undefined {
  const { rawData, int64Data, int32Data } = tensor;
  switch (tensor.dataType) {
    case DataType.INT64:
      return Array.from(int64Data.length > 0 ? int64Data : new BigInt64Array(aligned(rawData, 8)), Number);
    case DataType.INT32:
      return int32Data.length > 0 ? [...int32Data] : Array.from(new Int32Array(aligned(rawData, 4)));
    default:
      return undefined;
  }
}

/** The buffer under `bytes` if a typed array can be laid over it, otherwise a copy. */
function aligned(bytes: Uint8Array, size: number): ArrayBuffer {
  if (bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength && bytes.byteLength % size === 0) {
    return bytes.buffer as ArrayBuffer;
  }
  return Uint8Array.from(bytes.subarray(0, bytes.byteLength - (bytes.byteLength % size))).buffer;
}

export type TensorValues = Float32Array | Int32Array | BigInt64Array | Int8Array | Uint8Array | Uint16Array;

/** A constant; a `Uint16Array` holds the bits of float16 elements. The bytes of `values` are not copied. */
export function tensorOf(name: string, values: TensorValues, shape: readonly number[]): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dataType: dataTypeOf(values),
    dims: shape.map(BigInt),
    rawData: new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength),
  });
}

function dataTypeOf(values: TensorValues): TensorProto_DataType {
  if (values instanceof Float32Array) return DataType.FLOAT;
  if (values instanceof Int32Array) return DataType.INT32;
  if (values instanceof BigInt64Array) return DataType.INT64;
  if (values instanceof Int8Array) return DataType.INT8;
  return values instanceof Uint8Array ? DataType.UINT8 : DataType.FLOAT16;
}
