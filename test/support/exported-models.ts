/** Models as exporters write them, whose inputs or outputs are not all tensors of the protocol's datatypes. */

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType,
  TensorProtoSchema,
  type TypeProtoSchema,
  ValueInfoProtoSchema,
} from '../../src/onnx/onnx_pb.ts';
import type { Axis } from './onnx-models.ts';

export const ElementType = TensorProto_DataType;

type Node = MessageInitShape<typeof NodeProtoSchema>;
type Type = MessageInitShape<typeof TypeProtoSchema>;
type Value = MessageInitShape<typeof ValueInfoProtoSchema>;
type Initializer = MessageInitShape<typeof TensorProtoSchema>;

export interface ExportedGraph {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly Node[];
  readonly initializers?: readonly Initializer[];
  readonly irVersion?: number;
}

export function exportedModel({
  inputs,
  outputs,
  nodes,
  initializers = [],
  irVersion = 8,
}: ExportedGraph): Uint8Array<ArrayBuffer> {
  const graph = create(GraphProtoSchema, {
    name: 'exported',
    node: nodes.map((node) => create(NodeProtoSchema, node)),
    input: inputs.map((value) => create(ValueInfoProtoSchema, value)),
    output: outputs.map((value) => create(ValueInfoProtoSchema, value)),
    initializer: initializers.map((tensor) => create(TensorProtoSchema, tensor)),
  });
  const opsetImport = [
    { domain: '', version: 17n },
    { domain: 'ai.onnx.ml', version: 1n },
  ];
  const model = create(ModelProtoSchema, { irVersion: BigInt(irVersion), opsetImport, graph });
  return toBinary(ModelProtoSchema, model) as Uint8Array<ArrayBuffer>;
}

export function tensorType(elemType: TensorProto_DataType, axes: readonly Axis[]): Type {
  const dim = axes.map((axis) => {
    if (typeof axis === 'number') return { value: { case: 'dimValue', value: BigInt(axis) } } as const;
    return axis === '' ? {} : ({ value: { case: 'dimParam', value: axis } } as const);
  });
  return { value: { case: 'tensorType', value: { elemType, shape: { dim } } } };
}

export function value(name: string, elemType: TensorProto_DataType, axes: readonly Axis[]): Value {
  return { name, type: tensorType(elemType, axes) };
}

/** A sequence of tensors, or of what `elemType` says. */
export function sequenceOf(elemType: Type): Type {
  return { value: { case: 'sequenceType', value: { elemType } } };
}

export function mapTo(valueType: Type, keyType: TensorProto_DataType = ElementType.INT64): Type {
  return { value: { case: 'mapType', value: { keyType, valueType } } };
}

export function optionalOf(elemType: Type): Type {
  return { value: { case: 'optionalType', value: { elemType } } };
}

const X = value('x', ElementType.FLOAT, ['batch', 3]);
const FLOAT_ROWS = tensorType(ElementType.FLOAT, ['batch', 3]);
const SCALAR = tensorType(ElementType.FLOAT, []);

/** `y` is `x` in a type that no datatype of the protocol stands for; `z` is `x`. */
export function float8Model(elemType: TensorProto_DataType = ElementType.FLOAT8E4M3FN): Uint8Array {
  const to = { name: 'to', type: AttributeProto_AttributeType.INT, i: BigInt(elemType) };
  return exportedModel({
    inputs: [X],
    outputs: [value('y', elemType, ['batch', 3]), value('z', ElementType.FLOAT, ['batch', 3])],
    nodes: [
      { opType: 'Cast', input: ['x'], output: ['y'], attribute: [to] },
      { opType: 'Identity', input: ['x'], output: ['z'] },
    ],
  });
}

/** The classes of a ZipMap, as numbers or as names. */
export type Classes = readonly number[] | readonly string[];

export interface ZipMapOptions {
  readonly classes?: Classes;
  /** Reads the maps besides: then the ZipMap cannot be cut. */
  readonly isRead?: boolean;
}

/**
 * A classifier as skl2onnx writes it: `output_label` is the number of the largest element of a row of `x`, `output_probability` a
 * sequence of maps from class to element.
 */
export function zipMapModel({ classes = [7, 8, 9], isRead = false }: ZipMapOptions = {}): Uint8Array {
  const isNamed = typeof classes[0] === 'string';
  const attribute = isNamed
    ? {
        name: 'classlabels_strings',
        type: AttributeProto_AttributeType.STRINGS,
        strings: classes.map((label) => Buffer.from(String(label))),
      }
    : {
        name: 'classlabels_int64s',
        type: AttributeProto_AttributeType.INTS,
        ints: classes.map((label) => BigInt(label)),
      };
  const maps = sequenceOf(mapTo(SCALAR, isNamed ? ElementType.STRING : ElementType.INT64));
  const integer = (name: string, i: bigint) => ({ name, type: AttributeProto_AttributeType.INT, i });
  const outputs = [value('output_label', ElementType.INT64, ['']), { name: 'output_probability', type: maps }];
  if (isRead) outputs.push({ name: 'again', type: maps });
  return exportedModel({
    inputs: [value('x', ElementType.FLOAT, ['', classes.length])],
    outputs,
    nodes: [
      { opType: 'Identity', input: ['x'], output: ['probabilities'] },
      {
        opType: 'ArgMax',
        input: ['probabilities'],
        output: ['output_label'],
        attribute: [integer('axis', 1n), integer('keepdims', 0n)],
      },
      {
        opType: 'ZipMap',
        domain: 'ai.onnx.ml',
        input: ['probabilities'],
        output: ['output_probability'],
        attribute: [attribute],
      },
      ...(isRead ? [{ opType: 'Identity', input: ['output_probability'], output: ['again'] }] : []),
    ],
  });
}

/** `parts` is a sequence of two tensors; `z` is `x`. */
export function sequenceModel(): Uint8Array {
  return exportedModel({
    inputs: [X],
    outputs: [
      { name: 'parts', type: sequenceOf(FLOAT_ROWS) },
      { name: 'z', type: FLOAT_ROWS },
    ],
    nodes: [
      { opType: 'SequenceConstruct', input: ['x', 'x'], output: ['parts'] },
      { opType: 'Identity', input: ['x'], output: ['z'] },
    ],
  });
}

/** `perhaps` is an optional tensor. */
export function optionalModel(): Uint8Array {
  return exportedModel({
    inputs: [X],
    outputs: [{ name: 'perhaps', type: optionalOf(FLOAT_ROWS) }],
    nodes: [{ opType: 'Optional', input: ['x'], output: ['perhaps'] }],
  });
}

export interface OptionalInputsOptions {
  readonly irVersion?: number;
  /** Rows of the default of `bias`, whose first axis is the batch axis. */
  readonly biasRows?: number;
}

/**
 * `y` is `x * factor + bias`, FP32 [batch,3]. `factor` [3] is 2, 3 and 4 and `bias` [batch,3] is 1 where a request leaves them out.
 */
export function optionalInputsModel({ irVersion = 8, biasRows = 1 }: OptionalInputsOptions = {}): Uint8Array {
  const bias = new Float32Array(3 * biasRows).fill(1);
  return exportedModel({
    inputs: [X, value('factor', ElementType.FLOAT, [3]), value('bias', ElementType.FLOAT, ['batch', 3])],
    outputs: [value('y', ElementType.FLOAT, ['batch', 3])],
    nodes: [
      { opType: 'Mul', input: ['x', 'factor'], output: ['product'] },
      { opType: 'Add', input: ['product', 'bias'], output: ['y'] },
    ],
    initializers: [
      { name: 'factor', dataType: ElementType.FLOAT, dims: [3n], floatData: [2, 3, 4] },
      {
        name: 'bias',
        dataType: ElementType.FLOAT,
        dims: [BigInt(biasRows), 3n],
        rawData: new Uint8Array(bias.buffer),
      },
    ],
    irVersion,
  });
}
