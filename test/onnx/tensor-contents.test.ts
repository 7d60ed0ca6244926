import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { TensorProto_DataLocation, TensorProtoSchema, TensorProto_DataType as Type } from '../../src/onnx/onnx_pb.ts';
import { contentsOf } from '../../src/onnx/tensor-contents.ts';
import { decodeBytesTensor } from '../../src/wire/bytes-tensor.ts';

const bytesOf = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

test.each([
  ['FLOAT', { floatData: [1.5, -2] }, Float32Array.of(1.5, -2)],
  ['DOUBLE', { doubleData: [1.5, -2] }, Float64Array.of(1.5, -2)],
  ['INT64', { int64Data: [-1n, 2n ** 62n] }, BigInt64Array.of(-1n, 2n ** 62n)],
  ['UINT64', { uint64Data: [1n, 2n ** 64n - 1n] }, BigUint64Array.of(1n, 2n ** 64n - 1n)],
  ['UINT32', { uint64Data: [1n, 2n ** 32n - 1n] }, Uint32Array.of(1, 2 ** 32 - 1)],
  ['INT32', { int32Data: [-1, 5] }, Int32Array.of(-1, 5)],
  ['INT16', { int32Data: [-1, 5] }, Int16Array.of(-1, 5)],
  ['UINT16', { int32Data: [65_535, 5] }, Uint16Array.of(65_535, 5)],
  ['INT8', { int32Data: [-1, 5] }, Int8Array.of(-1, 5)],
  ['UINT8', { int32Data: [255, 5] }, Uint8Array.of(255, 5)],
  ['BOOL', { int32Data: [1, 0] }, Uint8Array.of(1, 0)],
  ['FLOAT16', { int32Data: [0x3c00, 0xc000] }, Uint16Array.of(0x3c00, 0xc000)],
  ['BFLOAT16', { int32Data: [0x3f80, 0xc000] }, Uint16Array.of(0x3f80, 0xc000)],
] as const)('the elements of %s are the same typed and raw', (name, typed, values) => {
  const tensor = { dataType: Type[name], dims: [2n] };
  const raw = bytesOf(values);
  const fields = Object.fromEntries(Object.entries(typed).map(([field, list]) => [field, [...list]]));
  expect(contentsOf(create(TensorProtoSchema, { ...tensor, ...fields }))).toEqual(raw);
  expect(contentsOf(create(TensorProtoSchema, { ...tensor, rawData: Uint8Array.from(raw) }))).toEqual(raw);
});

test('texts travel as BYTES', () => {
  const stringData = ['a', '', 'Zürich'].map((text) => Uint8Array.from(Buffer.from(text)));
  const contents = contentsOf(create(TensorProtoSchema, { dataType: Type.STRING, dims: [3n], stringData }));
  expect(decodeBytesTensor(contents ?? new Uint8Array(), 3).map(String)).toEqual(['a', '', 'Zürich']);
});

test.each([
  ['other numbers of elements than its shape', { dataType: Type.FLOAT, dims: [3n], floatData: [1, 2] }],
  ['negative sizes', { dataType: Type.FLOAT, dims: [-1n, -2n], floatData: [1, 2] }],
  ['cut off', { dataType: Type.FLOAT, dims: [2n], rawData: new Uint8Array(7) }],
  ['no type that is served', { dataType: Type.COMPLEX64, dims: [1n], rawData: new Uint8Array(8) }],
  ['its values in another file', { dataType: Type.FLOAT, dims: [1n], dataLocation: TensorProto_DataLocation.EXTERNAL }],
])('a constant has no contents here with %s', (_, fields) => {
  expect(contentsOf(create(TensorProtoSchema, fields))).toBeUndefined();
});
