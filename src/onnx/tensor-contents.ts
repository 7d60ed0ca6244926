/** The elements of a constant in raw form, wherever its message keeps them: row-major, little-endian, as in `raw_data`. */

import { type TensorProto, TensorProto_DataLocation, TensorProto_DataType } from './onnx_pb.ts';

/** @returns undefined where they lie in another file, or are not as many as its shape says. */
export function contentsOf(tensor: TensorProto): Uint8Array | undefined {
  if (tensor.dataLocation === TensorProto_DataLocation.EXTERNAL) return undefined;
  if (tensor.dims.some((size) => size < 0n)) return undefined;
  const elements = tensor.dims.reduce((product, size) => product * Number(size), 1);
  if (tensor.dataType === TensorProto_DataType.STRING) {
    return tensor.stringData.length === elements ? textsOf(tensor.stringData) : undefined;
  }
  const size = ELEMENT_BYTES.get(tensor.dataType);
  const contents = tensor.rawData.byteLength > 0 ? tensor.rawData : typedContents(tensor);
  return size !== undefined && contents.byteLength === elements * size ? contents : undefined;
}

const Type = TensorProto_DataType;

const ELEMENT_BYTES: ReadonlyMap<number, number> = new Map([
  [Type.FLOAT, 4],
  [Type.UINT8, 1],
  [Type.INT8, 1],
  [Type.UINT16, 2],
  [Type.INT16, 2],
  [Type.INT32, 4],
  [Type.INT64, 8],
  [Type.BOOL, 1],
  [Type.FLOAT16, 2],
  [Type.DOUBLE, 8],
  [Type.UINT32, 4],
  [Type.UINT64, 8],
  [Type.BFLOAT16, 2],
]);

function typedContents({ dataType, floatData, doubleData, int32Data, int64Data, uint64Data }: TensorProto): Uint8Array {
  switch (dataType) {
    case Type.FLOAT:
      return bytesOf(Float32Array.from(floatData));
    case Type.DOUBLE:
      return bytesOf(Float64Array.from(doubleData));
    case Type.INT64:
      return bytesOf(BigInt64Array.from(int64Data));
    case Type.UINT64:
      return bytesOf(BigUint64Array.from(uint64Data));
    case Type.UINT32:
      return bytesOf(Uint32Array.from(uint64Data, Number));
    case Type.INT32:
      return bytesOf(Int32Array.from(int32Data));
    case Type.INT8:
    case Type.UINT8:
    case Type.BOOL:
      return bytesOf(Uint8Array.from(int32Data));
    default:
      // Two bytes each: integers, and the bits of half precision.
      return bytesOf(Uint16Array.from(int32Data));
  }
}

function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** As BYTES travel: a length before each element. */
function textsOf(texts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.byteLength);
      return [length, text];
    }),
  );
}
