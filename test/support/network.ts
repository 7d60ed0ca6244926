/** Networks of tests, layer by layer: weights from a seeded generator, tensors FP32 with rows on axis 0. */

import { create } from '@bufbuild/protobuf';
import { Graph } from '../../src/compress/onnx/graph.ts';
import type { OnnxModel } from '../../src/compress/onnx/model-file.ts';
import { DataType, type TensorValues, tensorOf } from '../../src/compress/onnx/tensor-values.ts';
import { seededRandom } from '../../src/gateway/models/trial/synthetic-input.ts';
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type TensorProto,
  ValueInfoProtoSchema,
} from '../../src/onnx/onnx_pb.ts';

export type Axis = number | string;
const Type = AttributeProto_AttributeType;

/** An attribute: a whole number is INT, another FLOAT, a list INTS. */
export type AttributeValue = number | readonly number[] | string | { readonly float: number };

export interface Port {
  readonly name: string;
  readonly axes: readonly Axis[];
  /** FLOAT by default. */
  readonly dataType?: number;
}

export class Network {
  readonly nodes: NodeProto[] = [];
  readonly constants: TensorProto[] = [];
  readonly random: () => number;

  constructor(seed = 1) {
    this.random = seededRandom(seed);
  }

  /** @returns the name of the node's output. */
  add(opType: string, input: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    const output = `${opType.toLowerCase()}${this.nodes.length}`;
    this.nodes.push(
      create(NodeProtoSchema, {
        opType,
        name: `node_${output}`,
        input: [...input],
        output: [output],
        attribute: Object.entries(attributes).map(([name, value]) => attributeOf(name, value)),
      }),
    );
    return output;
  }

  /** An attribute of the node that was added last. */
  floatsAttribute(name: string, floats: readonly number[]): void {
    const attribute = create(AttributeProtoSchema, { name, type: Type.FLOATS, floats: [...floats] });
    this.nodes.at(-1)?.attribute.push(attribute);
  }

  constant(name: string, values: TensorValues, shape: readonly number[]): string {
    this.constants.push(tensorOf(name, values, shape));
    return name;
  }

  /** Values from -size to size. */
  weights(name: string, shape: readonly number[], size = 1): string {
    const count = shape.reduce((product, each) => product * each, 1);
    return this.constant(
      name,
      Float32Array.from({ length: count }, () => (this.random() * 2 - 1) * size),
      shape,
    );
  }

  /** With as many weights as `[out, in, kernel, kernel]`, padded so that height and width stay. */
  conv(input: string, inChannels: number, outChannels: number, options: ConvOptions = {}): string {
    const { kernel = 3, stride = 1, group = 1, bias = true } = options;
    const name = `w${this.constants.length}`;
    const fan = (inChannels / group) * kernel * kernel;
    const inputs = [input, this.weights(name, [outChannels, inChannels / group, kernel, kernel], 2 / Math.sqrt(fan))];
    if (bias) inputs.push(this.weights(`${name}_bias`, [outChannels], 0.5));
    const pad = (kernel - 1) / 2;
    const attributes = { kernel_shape: [kernel, kernel], pads: [pad, pad, pad, pad], strides: [stride, stride], group };
    return this.add('Conv', inputs, attributes);
  }

  /** Batch normalization as after training. */
  batchNorm(input: string, channels: number): string {
    const name = `bn${this.constants.length}`;
    const positive = Float32Array.from({ length: channels }, () => 0.5 + this.random());
    const variance = Float32Array.from({ length: channels }, () => 0.5 + this.random());
    return this.add('BatchNormalization', [
      input,
      this.constant(`${name}_scale`, positive, [channels]),
      this.weights(`${name}_shift`, [channels], 0.3),
      this.weights(`${name}_mean`, [channels], 0.3),
      this.constant(`${name}_variance`, variance, [channels]),
    ]);
  }

  gemm(input: string, from: number, to: number, attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    const name = `w${this.constants.length}`;
    const shape = attributes['transB'] === 1 ? [to, from] : [from, to];
    const inputs = [input, this.weights(name, shape, 2 / Math.sqrt(from)), this.weights(`${name}_bias`, [to], 0.5)];
    return this.add('Gemm', inputs, attributes);
  }

  matmul(input: string, from: number, to: number): string {
    return this.add('MatMul', [input, this.weights(`w${this.constants.length}`, [from, to], 2 / Math.sqrt(from))]);
  }

  model(inputs: readonly Port[], outputs: readonly Port[], operatorSet = 13): OnnxModel {
    return create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(operatorSet) })],
      graph: create(GraphProtoSchema, {
        name: 'test',
        node: this.nodes,
        initializer: this.constants,
        input: inputs.map(valueInfo),
        output: outputs.map(valueInfo),
      }),
    });
  }
}

export interface ConvOptions {
  readonly kernel?: 1 | 3 | 5;
  readonly stride?: 1 | 2;
  readonly group?: number;
  readonly bias?: boolean;
}

function attributeOf(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'string')
    return create(AttributeProtoSchema, { name, type: Type.STRING, s: Buffer.from(value) });
  if (typeof value === 'number') return create(AttributeProtoSchema, { name, type: Type.INT, i: BigInt(value) });
  if ('float' in value) return create(AttributeProtoSchema, { name, type: Type.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: Type.INTS, ints: value.map(BigInt) });
}

function valueInfo({ name, axes, dataType = DataType.FLOAT }: Port) {
  const dim = axes.map((axis) => ({
    value:
      typeof axis === 'number'
        ? { case: 'dimValue' as const, value: BigInt(axis) }
        : { case: 'dimParam' as const, value: axis },
  }));
  const value = { case: 'tensorType' as const, value: { elemType: dataType, shape: { dim } } };
  return create(ValueInfoProtoSchema, { name, type: { value } });
}

/** What `onnx.checker` demands of a graph, and what we demand of ours. @returns what is wrong. */
export function defectsOf(model: OnnxModel): string[] {
  const graph = model.graph;
  if (graph === undefined) return ['no graph'];
  const defects: string[] = [];
  const operatorSet = model.opsetImport.find(({ domain }) => domain === '')?.version ?? 0n;
  const domains = new Set(model.opsetImport.map(({ domain }) => domain));
  if (domains.size !== model.opsetImport.length) defects.push('an operator set is named twice');
  if (operatorSet < 7n) defects.push(`operator set ${operatorSet}`);
  if (operatorSet >= 13n && model.irVersion < 7n)
    defects.push(`format ${model.irVersion} with operator set ${operatorSet}`);
  const known = new Set<string>();
  const define = (name: string): void => {
    if (known.has(name)) defects.push(`'${name}' is made twice`);
    known.add(name);
  };
  for (const { name } of [...graph.input, ...graph.initializer]) define(name);
  for (const tensor of graph.initializer) {
    const count = tensor.dims.reduce((product, size) => product * Number(size), 1);
    const bytes = BYTES[tensor.dataType];
    if (tensor.rawData.length > 0 && tensor.rawData.length !== count * (bytes ?? Number.NaN)) {
      defects.push(`'${tensor.name}' has ${tensor.rawData.length} bytes for ${count} elements`);
    }
  }
  const used = new Set(graph.output.map(({ name }) => name));
  const names = new Set<string>();
  for (const node of graph.node) {
    if (node.name !== '' && names.has(node.name)) defects.push(`two nodes are named '${node.name}'`);
    names.add(node.name);
    if (!domains.has(node.domain)) defects.push(`'${node.name}' is from '${node.domain}', which is not named`);
    for (const name of node.input.filter((each) => each !== '')) {
      if (!known.has(name)) defects.push(`'${node.name}' reads '${name}' before it is made`);
      used.add(name);
    }
    for (const { g } of node.attribute)
      for (const inner of g?.node ?? []) for (const name of inner.input) used.add(name);
    for (const name of node.output.filter((each) => each !== '')) define(name);
  }
  for (const { name } of graph.output) if (!known.has(name)) defects.push(`the output '${name}' is not made`);
  for (const { name } of graph.initializer) if (!used.has(name)) defects.push(`nobody reads '${name}'`);
  for (const node of graph.node) {
    if (!node.output.some((name) => used.has(name))) defects.push(`nobody reads what '${node.name}' makes`);
    if (node.metadataProps.length > 0 || node.docString !== '') defects.push(`'${node.name}' carries notes`);
  }
  return defects;
}

const BYTES: Readonly<Record<number, number>> = {
  [DataType.FLOAT]: 4,
  [DataType.FLOAT16]: 2,
  [DataType.BOOL]: 1,
  [DataType.INT8]: 1,
  [DataType.UINT8]: 1,
  [DataType.INT32]: 4,
  [DataType.INT64]: 8,
};

/** The nodes of a model by what they do. */
export function operatorsOf(model: OnnxModel): string[] {
  return new Graph(model).nodes.map(({ opType }) => opType);
}
