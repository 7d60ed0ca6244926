/**
 * Folds arithmetic into the model that would otherwise repeat in every run: operations on constants, and channel-wise operations
 * after a convolution, such as batch normalization (Jacob et al., 2018, section 3.2).
 */

import type { NodeProto, TensorProto } from '../onnx/onnx_pb.ts';
import type { Note } from './note.ts';
import { floatAttribute, integerAttribute, integersAttribute } from './onnx/attribute.ts';
import { type Graph, nameOf } from './onnx/graph.ts';
import { DataType, elementsOf, floatsOf, integersOf, shapeOf } from './onnx/tensor-values.ts';

/** Operators that pass their input on in inference. */
const IDENTITIES = new Set(['Identity', 'Dropout']);

/**
 * Folds all that can be folded.
 * @param rankOf the number of axes of a tensor, where it is known.
 * @returns what became part of another node.
 */
export function fold(graph: Graph, rankOf: (tensor: string) => number | undefined): Note[] {
  dropIdentities(graph);
  foldConstants(graph);
  return [...foldIntoConvolutions(graph), ...foldIntoProducts(graph, rankOf)];
}

function dropIdentities(graph: Graph): void {
  for (const node of [...graph.nodes]) {
    const [input = ''] = node.input;
    const [output = '', mask = ''] = node.output;
    if (!IDENTITIES.has(node.opType) || node.domain !== '' || graph.isExposed(output)) continue;
    // Whether it is in training is an input of a Dropout.
    if (mask !== '' || (node.opType === 'Dropout' && (node.input[2] ?? '') !== '')) continue;
    graph.redirect(output, input);
    graph.nodes.splice(graph.nodes.indexOf(node), 1);
  }
}

/** Constants that are merely cast or laid out otherwise: what exporters leave between a weight and its reader. */
export function foldConstants(graph: Graph): void {
  for (let before = -1; before !== graph.nodes.length; ) {
    before = graph.nodes.length;
    graph.nodes = graph.nodes.filter((node) => {
      const [output = ''] = node.output;
      return node.domain !== '' || graph.isExposed(output) || !foldConstant(graph, node, output);
    });
  }
}

/** @returns whether `output` is a constant now. */
function foldConstant(graph: Graph, node: NodeProto, output: string): boolean {
  const tensor = graph.constant(node.input[0]);
  if (tensor === undefined) return false;
  const shape = shapeOf(tensor);
  switch (node.opType) {
    case 'Identity':
      graph.aliasConstant(output, tensor);
      return true;
    case 'Cast': {
      const values = floatsOf(tensor);
      if (values === undefined || integerAttribute(node, 'to', 0) !== DataType.FLOAT) return false;
      graph.setConstant(output, values, shape);
      return true;
    }
    case 'Transpose': {
      const values = floatsOf(tensor);
      if (values === undefined || tensor.dataType !== DataType.FLOAT) return false;
      const order = integersAttribute(node, 'perm') ?? shape.map((_, axis) => shape.length - 1 - axis);
      const sizes = order.map((axis) => shape[axis] ?? 1);
      graph.setConstant(output, transpose(values, shape, order), sizes);
      return true;
    }
    case 'Reshape': {
      const wanted = graph.constant(node.input[1]);
      const sizes = wanted && integersOf(wanted);
      if (sizes === undefined || integerAttribute(node, 'allowzero', 0) !== 0) return false;
      const kept = sizes.map((size, axis) => (size === 0 ? (shape[axis] ?? 0) : size));
      const known = kept.reduce((product, size) => (size === -1 ? product : product * size), 1);
      const whole = kept.map((size) => (size === -1 ? elementsOf(tensor) / known : size));
      graph.aliasConstant(output, tensor, whole.map(BigInt));
      return true;
    }
    case 'Unsqueeze':
    case 'Squeeze': {
      const given = graph.constant(node.input[1]);
      const axes = integersAttribute(node, 'axes') ?? (given && integersOf(given));
      if (axes === undefined) return false;
      const sizes = node.opType === 'Squeeze' ? withoutAxes(shape, axes) : withAxes(shape, axes);
      graph.aliasConstant(output, tensor, sizes.map(BigInt));
      return true;
    }
    default:
      return false;
  }
}

function withoutAxes(shape: readonly number[], axes: readonly number[]): number[] {
  const gone = new Set(axes.map((axis) => (axis < 0 ? axis + shape.length : axis)));
  return shape.filter((_, axis) => !gone.has(axis));
}

function withAxes(shape: readonly number[], axes: readonly number[]): number[] {
  const rank = shape.length + axes.length;
  const sizes = [...shape];
  for (const axis of axes.map((each) => (each < 0 ? each + rank : each)).sort((a, b) => a - b))
    sizes.splice(axis, 0, 1);
  return sizes;
}

/** Element by element, the last axis fastest. */
export function transpose(values: Float32Array, shape: readonly number[], order: readonly number[]): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const sizes = order.map((axis) => shape[axis] ?? 1);
  const steps = order.map((axis) => strides[axis] ?? 1);
  const result = new Float32Array(values.length);
  const at = sizes.map(() => 0);
  let from = 0;
  for (let to = 0; to < result.length; to++) {
    result[to] = values[from] ?? 0;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[axis] ?? 0;
      at[axis] = (at[axis] ?? 0) + 1;
      if ((at[axis] ?? 0) < (sizes[axis] ?? 0)) break;
      from -= (steps[axis] ?? 0) * (sizes[axis] ?? 0);
      at[axis] = 0;
    }
  }
  return result;
}

/** `value * scale + shift`, with a number of each for every channel. */
interface Affine {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

function foldIntoConvolutions(graph: Graph): Note[] {
  const notes: Note[] = [];
  for (const conv of [...graph.nodes]) {
    if (conv.opType !== 'Conv' || conv.domain !== '') continue;
    // One after the other: a convolution may be followed by a normalization, a factor and a bias.
    for (let follower = foldable(graph, conv); follower !== undefined; follower = foldable(graph, conv)) {
      apply(graph, conv, follower.affine);
      notes.push(absorb(graph, conv, follower.node));
    }
  }
  return notes;
}

/** Lets a node produce the output of its only reader. */
function absorb(graph: Graph, node: NodeProto, follower: NodeProto): Note {
  node.output = [...follower.output];
  graph.nodes.splice(graph.nodes.indexOf(follower), 1);
  const text = `became part of the weights of '${nameOf(node)}'`;
  return { node: nameOf(follower), opType: follower.opType, kind: 'folded', text };
}

/** The node that reads the output, if there is exactly one. */
function onlyReader(graph: Graph, { output: [output = ''] }: NodeProto): NodeProto | undefined {
  if (graph.isExposed(output)) return undefined;
  const [reader, ...others] = graph.links().consumers(output);
  return others.length > 0 || reader?.domain !== '' ? undefined : reader;
}

/**
 * The product of a matrix with constant weights, and the bias behind it, as one Gemm. ONNX Runtime would do so by itself, but
 * would then find its bias in float32 and compute all of it in float.
 */
function foldIntoProducts(graph: Graph, rankOf: (tensor: string) => number | undefined): Note[] {
  const notes: Note[] = [];
  for (const product of [...graph.nodes]) {
    const [input = '', weightName = ''] = product.input;
    const weight = graph.constant(weightName);
    if (product.opType !== 'MatMul' || product.domain !== '' || rankOf(input) !== 2) continue;
    const sum = onlyReader(graph, product);
    if (weight?.dataType !== DataType.FLOAT || weight.dims.length !== 2 || sum?.opType !== 'Add') continue;
    const biasName = sum.input.find((name) => name !== product.output[0]) ?? '';
    const bias = graph.constant(biasName);
    const isBias = bias?.dataType === DataType.FLOAT && BigInt(elementsOf(bias)) === weight.dims[1];
    if (!isBias || bias.dims.length > 2 || bias.dims.at(-1) !== weight.dims[1]) continue;
    product.opType = 'Gemm';
    product.input = [input, weightName, biasName];
    notes.push(absorb(graph, product, sum));
  }
  return notes;
}

/** The only reader of a convolution, if it is an affine step on each channel. */
function foldable(graph: Graph, conv: NodeProto): { node: NodeProto; affine: Affine } | undefined {
  const [output = ''] = conv.output;
  const weight = graph.constant(conv.input[1]);
  const bias = graph.constant(conv.input[2]);
  if (weight?.dataType !== DataType.FLOAT) return undefined;
  if ((conv.input[2] ?? '') !== '' && bias?.dataType !== DataType.FLOAT) return undefined;
  const node = onlyReader(graph, conv);
  if (node === undefined) return undefined;
  const shape = shapeOf(weight);
  const affine = affineOf(graph, node, output, shape[0] ?? 0, shape.length);
  return affine && { node, affine };
}

function affineOf(graph: Graph, node: NodeProto, input: string, channels: number, rank: number): Affine | undefined {
  const fill = (value: number): Float64Array => new Float64Array(channels).fill(value);
  if (node.opType === 'BatchNormalization') return normalization(graph, node, channels);
  if (!['Mul', 'Add', 'Sub', 'Div'].includes(node.opType) || node.input.length !== 2) return undefined;
  const isFirst = node.input[0] === input;
  const other = graph.constant(node.input[isFirst ? 1 : 0]);
  const values = other && perChannel(other, channels, rank);
  if (values === undefined) return undefined;
  switch (node.opType) {
    case 'Mul':
      return { scale: values, shift: fill(0) };
    case 'Div':
      return isFirst && values.every((value) => value !== 0)
        ? { scale: values.map((value) => 1 / value), shift: fill(0) }
        : undefined;
    case 'Sub':
      return isFirst ? { scale: fill(1), shift: values.map((value) => -value) } : { scale: fill(-1), shift: values };
    default:
      return { scale: fill(1), shift: values };
  }
}

function normalization(graph: Graph, node: NodeProto, channels: number): Affine | undefined {
  if (integerAttribute(node, 'training_mode', 0) !== 0 || node.output.slice(1).some((name) => name !== ''))
    return undefined;
  const [gamma, beta, mean, variance] = node.input.slice(1, 5).map((name) => {
    const tensor = graph.constant(name);
    return tensor && floatsOf(tensor);
  });
  if (gamma === undefined || beta === undefined || mean === undefined || variance === undefined) return undefined;
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const scale = Float64Array.from(
    { length: channels },
    (_, c) => (gamma[c] ?? 0) / Math.sqrt((variance[c] ?? 0) + epsilon),
  );
  return { scale, shift: scale.map((factor, c) => (beta[c] ?? 0) - (mean[c] ?? 0) * factor) };
}

/** A number for each channel of a tensor [rows,channels,...] of `rank` axes, where a constant that is broadcast over it has such. */
function perChannel(tensor: TensorProto, channels: number, rank: number): Float64Array | undefined {
  const values = tensor.dataType === DataType.FLOAT ? floatsOf(tensor) : undefined;
  const shape = shapeOf(tensor);
  if (values === undefined || shape.length > rank) return undefined;
  if (values.length === 1) return new Float64Array(channels).fill(values[0] ?? 0);
  const channelAxis = shape.length - rank + 1;
  const fits = channelAxis >= 0 && shape.every((size, axis) => size === (axis === channelAxis ? channels : 1));
  return fits ? Float64Array.from(values) : undefined;
}

function apply(graph: Graph, conv: NodeProto, { scale, shift }: Affine): void {
  const [input = '', weightName = '', biasName = ''] = conv.input;
  const weight = graph.constant(weightName);
  const values = weight && floatsOf(weight);
  if (weight === undefined || values === undefined) throw new TypeError(`no weights '${weightName}'`);
  const bias = graph.constant(biasName);
  const before = bias && floatsOf(bias);
  const inner = values.length / scale.length;
  const weights = values.map((value, index) => value * (scale[Math.floor(index / inner)] ?? 1));
  const biases = Float32Array.from(scale, (factor, c) => (before?.[c] ?? 0) * factor + (shift[c] ?? 0));
  const folded = graph.addConstant(`${weightName}.folded`, weights, shapeOf(weight));
  conv.input = [input, folded, graph.addConstant(`${biasName || weightName}.bias`, biases, [scale.length])];
}
