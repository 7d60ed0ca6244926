/** Convolutions and matrix products with constant weights, in one form: the input times a weight, plus a bias. */

import type { NodeProto, TensorProto } from '../../onnx/onnx_pb.ts';
import { floatAttribute, integerAttribute } from '../onnx/attribute.ts';
import type { Graph } from '../onnx/graph.ts';
import { DataType, floatsOf, shapeOf } from '../onnx/tensor-values.ts';

export interface WeightedNode {
  readonly input: string;
  /** Name of the constant. */
  readonly weight: string;
  readonly values: Float32Array;
  readonly shape: readonly number[];
  /** Axis of the output channels in `shape`. */
  readonly axis: number;
  /** One number for each output channel. */
  readonly bias: Float32Array | undefined;
  /** The name of the constant, or of one that could be. */
  readonly biasName: string;
}

/** @returns why it stays in float, in words, where it is none whose weights can be quantized. */
export function weightedNode(graph: Graph, node: NodeProto): WeightedNode | string {
  switch (node.opType) {
    case 'Conv':
      return read(graph, node, 0);
    case 'Gemm': {
      if (integerAttribute(node, 'transA', 0) !== 0) return 'its input is transposed';
      const found = read(graph, node, integerAttribute(node, 'transB', 0) === 0 ? 1 : 0);
      if (typeof found === 'string') return found;
      const alpha = floatAttribute(node, 'alpha', 1);
      const beta = floatAttribute(node, 'beta', 1);
      const values = alpha === 1 ? found.values : found.values.map((value) => value * alpha);
      return { ...found, values, bias: beta === 1 ? found.bias : found.bias?.map((value) => value * beta) };
    }
    case 'MatMul': {
      if (graph.constant(node.input[0]) !== undefined) return 'its first factor is the constant one';
      const weight = graph.constant(node.input[1]);
      if (weight === undefined) return 'both of its factors are computed, as attention has it';
      if (weight.dims.length !== 2) return `its weights have ${weight.dims.length} axes, and not 2`;
      return read(graph, node, 1);
    }
    case 'ConvTranspose':
      return 'ONNX Runtime has no integer kernel for a transposed convolution';
    default:
      return 'it has no weights';
  }
}

function read(graph: Graph, node: NodeProto, axis: number): WeightedNode | string {
  const [input = '', weight = '', biasName = ''] = node.input;
  const tensor = graph.constant(weight);
  if (tensor === undefined) return 'its weights are no constants of float32';
  const values = tensor.dataType === DataType.FLOAT ? floatsOf(tensor) : undefined;
  if (values === undefined) return 'its weights are not float32';
  if (!values.every(Number.isFinite)) return 'its weights are not finite';
  const shape = shapeOf(tensor);
  const found = { input, weight, values, shape, axis, bias: undefined, biasName: `${weight}.bias` };
  if (biasName === '') return found;
  const constant = graph.constant(biasName);
  const bias = constant && broadcast(constant, shape[axis] ?? 0);
  return bias === undefined ? 'its bias is no constant with a number for each channel' : { ...found, bias, biasName };
}

/** A bias of one number, or of one for each of `channels`; a Gemm adds either to all rows. */
function broadcast(tensor: TensorProto, channels: number): Float32Array | undefined {
  const values = tensor.dataType === DataType.FLOAT ? floatsOf(tensor) : undefined;
  if (values === undefined || !values.every(Number.isFinite)) return undefined;
  if (values.length === channels && shapeOf(tensor).at(-1) === channels) return values;
  return values.length === 1 ? new Float32Array(channels).fill(values[0] ?? 0) : undefined;
}
