/**
 * How far a quantized graph can be from the graph that it was made of, at most: an interpreter of errors. Each tensor has a
 * bound on the difference of any of its elements; each node says how its result's follows from its inputs'.
 */

import type { Ranges } from '../../src/compress/calibration.ts';
import { integerAttribute } from '../../src/compress/onnx/attribute.ts';
import type { OnnxModel } from '../../src/compress/onnx/model-file.ts';
import { floatsOf, shapeOf } from '../../src/compress/onnx/tensor-values.ts';
import type { NodeProto, TensorProto } from '../../src/onnx/onnx_pb.ts';

/** What a DequantizeLinear makes of a constant: a weight or a bias, and how far it is from what it stands for. */
interface Weight {
  readonly values: Float32Array;
  readonly shape: readonly number[];
  readonly axis: number;
  /** Half of a step, for each channel. */
  readonly off: readonly number[];
}

/** @returns a bound for each output of the model, on the inputs with which `ranges` were found. */
export function errorBounds(quantized: OnnxModel, ranges: Ranges): Map<string, number> {
  const graph = quantized.graph;
  if (graph === undefined) throw new Error('no graph');
  const constants = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const weights = new Map<string, Weight>();
  const errors = new Map<string, number>();
  /** Greatest magnitude, in the float graph. */
  const peaks = new Map<string, number>();
  for (const [name, { low, high }] of ranges) peaks.set(name, Math.max(Math.abs(low), Math.abs(high)));
  const errorOf = (name: string | undefined): number => errors.get(name ?? '') ?? 0;
  const peakOf = (name: string | undefined): number => {
    const peak = peaks.get(name ?? '');
    if (peak === undefined) throw new Error(`the range of '${name}' is not known`);
    return peak;
  };
  const scaleOf = (node: NodeProto): number => {
    const scale = constants.get(node.input[1] ?? '');
    return (scale && floatsOf(scale)?.[0]) ?? Number.NaN;
  };
  for (const node of graph.node) {
    const [input = ''] = node.input;
    const [output = ''] = node.output;
    switch (node.opType) {
      case 'QuantizeLinear':
        // Half a step by rounding. The ends of the range are rounded to steps too, and cut off half a step at most.
        errors.set(output, errorOf(input) + scaleOf(node));
        peaks.set(output, peakOf(input));
        break;
      case 'DequantizeLinear': {
        const tensor = constants.get(input);
        if (tensor !== undefined) {
          weights.set(output, dequantize(node, tensor, constants));
        } else {
          errors.set(output, errorOf(input));
          peaks.set(output, peakOf(input));
        }
        break;
      }
      case 'Conv':
      case 'Gemm':
      case 'MatMul': {
        const weight = weights.get(node.input[1] ?? '') ?? exact(node, constants);
        const bias = weights.get(node.input[2] ?? '');
        errors.set(output, productError(weight, bias, errorOf(input), peakOf(input)));
        break;
      }
      case 'Add':
        errors.set(output, errorOf(node.input[0]) + errorOf(node.input[1]));
        break;
      case 'Relu':
      case 'Clip':
      case 'MaxPool':
      case 'AveragePool':
      case 'GlobalAveragePool':
      case 'Flatten':
      case 'Reshape':
      case 'Transpose':
        errors.set(output, errorOf(input));
        break;
      case 'Concat':
        errors.set(output, Math.max(...node.input.map(errorOf)));
        break;
      default:
        throw new Error(`no rule for ${node.opType}`);
    }
  }
  return new Map(graph.output.map(({ name }) => [name, errorOf(name)]));
}

function dequantize(node: NodeProto, tensor: TensorProto, constants: ReadonlyMap<string, TensorProto>): Weight {
  const shape = shapeOf(tensor);
  const axis = integerAttribute(node, 'axis', 1);
  const scaleTensor = constants.get(node.input[1] ?? '');
  const scales = [...((scaleTensor && floatsOf(scaleTensor)) ?? [])];
  const bytes = Uint8Array.from(tensor.rawData).buffer;
  const integers = tensor.rawData.length === scales.length * 4 ? new Int32Array(bytes) : new Int8Array(bytes);
  const channelOf = channels(shape, axis);
  const values = Float32Array.from(integers, (value, index) => value * (scales[channelOf(index)] ?? Number.NaN));
  return { values, shape, axis, off: scales.map((scale) => scale / 2) };
}

/** Weights that stayed in float. */
function exact({ opType, input }: NodeProto, constants: ReadonlyMap<string, TensorProto>): Weight {
  const tensor = constants.get(input[1] ?? '');
  const values = tensor && floatsOf(tensor);
  if (tensor === undefined || values === undefined) throw new Error(`no weights '${input[1]}'`);
  const shape = shapeOf(tensor);
  const axis = opType === 'Conv' ? 0 : 1;
  return { values, shape, axis, off: new Array(shape[axis] ?? 0).fill(0) };
}

function channels(shape: readonly number[], axis: number): (index: number) => number {
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const count = shape[axis] ?? 1;
  return (index) => Math.floor(index / inner) % count;
}

/** The worst channel: |w| times the error of the input, and the error of the weights times what they are multiplied with. */
function productError(
  { values, shape, axis, off }: Weight,
  bias: Weight | undefined,
  error: number,
  peak: number,
): number {
  const channelOf = channels(shape, axis);
  const sums = new Float64Array(off.length);
  for (const [index, value] of values.entries()) {
    const channel = channelOf(index);
    sums[channel] = (sums[channel] ?? 0) + (Math.abs(value) + (off[channel] ?? 0)) * error + (off[channel] ?? 0) * peak;
  }
  return Math.max(...sums.map((sum, channel) => sum + (bias?.off[channel] ?? 0)));
}
