/** The operator tests of the ONNX project: models, inputs, and the outputs that they must give. */

import fs from 'node:fs';
import path from 'node:path';
import onnxProto from 'onnx-proto';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import type { Datatype, Shape } from '../../src/wire/tensor.ts';

const { onnx } = onnxProto;
const { DataType } = onnx.TensorProto;

export interface ExpectedTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: Shape;
  /** The elements in raw form. */
  readonly raw: Uint8Array;
}

export interface OnnxCase {
  readonly name: string;
  /** Where `model.onnx` lies. */
  readonly directory: string;
}

export interface CaseData {
  readonly inputs: readonly ExpectedTensor[];
  readonly outputs: readonly ExpectedTensor[];
}

/** Every model below `root` that comes with inputs and outputs, by name. */
export function listCases(root: string): OnnxCase[] {
  const suites = ['node', 'pytorch-converted', 'pytorch-operator', 'simple'];
  return suites.flatMap((suite) =>
    fs
      .readdirSync(path.join(root, suite))
      .sort()
      .map((name) => ({ name: `${suite}-${name}`, directory: path.join(root, suite, name) }))
      .filter(({ directory }) => fs.existsSync(path.join(directory, 'test_data_set_0'))),
  );
}

/** @throws Error where a file holds no tensor, but a sequence or an optional. */
export function readCase({ directory }: OnnxCase): CaseData {
  const { graph } = onnx.ModelProto.decode(fs.readFileSync(path.join(directory, 'model.onnx')));
  const constants = new Set(graph?.initializer?.map(({ name }) => name));
  const read = (kind: 'input' | 'output', ports: readonly { name?: string | null }[]): ExpectedTensor[] =>
    ports.flatMap(({ name }, index) => {
      const file = path.join(directory, 'test_data_set_0', `${kind}_${index}.pb`);
      return fs.existsSync(file) ? [readTensor(name ?? '', fs.readFileSync(file))] : [];
    });
  return {
    inputs: read('input', graph?.input?.filter(({ name }) => !constants.has(name)) ?? []),
    outputs: read('output', graph?.output ?? []),
  };
}

type TensorProto = onnxProto.onnx.TensorProto;

/** Where a TensorProto keeps the elements of a type that are not in `raw_data`, and how they lie in raw form. */
const TYPES = new Map<
  number,
  { readonly datatype: Datatype; readonly toRaw: (tensor: TensorProto) => ArrayBufferView }
>([
  [DataType.FLOAT, { datatype: 'FP32', toRaw: ({ floatData }) => Float32Array.from(floatData) }],
  [DataType.DOUBLE, { datatype: 'FP64', toRaw: ({ doubleData }) => Float64Array.from(doubleData) }],
  [DataType.FLOAT16, { datatype: 'FP16', toRaw: ({ int32Data }) => Uint16Array.from(int32Data) }],
  [DataType.BFLOAT16, { datatype: 'BF16', toRaw: ({ int32Data }) => Uint16Array.from(int32Data) }],
  [DataType.BOOL, { datatype: 'BOOL', toRaw: ({ int32Data }) => Uint8Array.from(int32Data) }],
  [DataType.INT8, { datatype: 'INT8', toRaw: ({ int32Data }) => Int8Array.from(int32Data) }],
  [DataType.INT16, { datatype: 'INT16', toRaw: ({ int32Data }) => Int16Array.from(int32Data) }],
  [DataType.INT32, { datatype: 'INT32', toRaw: ({ int32Data }) => Int32Array.from(int32Data) }],
  [DataType.INT64, { datatype: 'INT64', toRaw: ({ int64Data }) => BigInt64Array.from(int64Data, toBigInt) }],
  [DataType.UINT8, { datatype: 'UINT8', toRaw: ({ int32Data }) => Uint8Array.from(int32Data) }],
  [DataType.UINT16, { datatype: 'UINT16', toRaw: ({ int32Data }) => Uint16Array.from(int32Data) }],
  [DataType.UINT32, { datatype: 'UINT32', toRaw: ({ uint64Data }) => Uint32Array.from(uint64Data, Number) }],
  [DataType.UINT64, { datatype: 'UINT64', toRaw: ({ uint64Data }) => BigUint64Array.from(uint64Data, toBigInt) }],
  [DataType.STRING, { datatype: 'BYTES', toRaw: ({ stringData }) => encodeBytesTensor(stringData) }],
]);

function readTensor(name: string, file: Uint8Array): ExpectedTensor {
  const tensor = onnx.TensorProto.decode(file);
  const type = TYPES.get(tensor.dataType);
  if (type === undefined) throw new Error(`'${name}' is no tensor of a datatype of the protocol`);
  const shape = tensor.dims.map(Number);
  if (tensor.rawData.length > 0) return { name, shape, datatype: type.datatype, raw: tensor.rawData };
  const { buffer, byteOffset, byteLength } = type.toRaw(tensor);
  return { name, shape, datatype: type.datatype, raw: new Uint8Array(buffer, byteOffset, byteLength) };
}

function toBigInt(value: number | { toString(): string }): bigint {
  return BigInt(value.toString());
}
