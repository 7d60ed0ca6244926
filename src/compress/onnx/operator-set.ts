/**
 * Older operator sets brought to version 13, the first in which weights can be quantized for each channel (ONNX changelog
 * of operators). Only what changed in meaning or in form between 7 and 13 is touched.
 */

import type { NodeProto } from '../../onnx/onnx_pb.ts';
import { CompressError } from '../compress-error.ts';
import {
  attributeOf,
  floatAttribute,
  integer,
  integerAttribute,
  integersAttribute,
  text,
  textAttribute,
} from './attribute.ts';
import { type Graph, nameOf } from './graph.ts';

export const QUANTIZABLE_OPERATOR_SET = 13;
/** Before it, broadcasting was another. */
const OLDEST = 7;

/** @throws CompressError (`model`) where the graph cannot be brought there; the text names the node. */
export function upgradeOperatorSet(graph: Graph): void {
  const from = graph.operatorSet;
  if (from >= QUANTIZABLE_OPERATOR_SET) return;
  const advice = `export the model with operator set ${QUANTIZABLE_OPERATOR_SET} or later`;
  if (from < OLDEST) throw new CompressError('model', `operator set ${from} is too old: ${advice}`);
  // They may be added to while they are walked.
  for (const node of [...graph.nodes]) {
    if (node.domain !== '' && node.domain !== 'ai.onnx') continue;
    const problem = upgrade(graph, node, from);
    if (problem !== undefined) {
      throw new CompressError(
        'model',
        `node '${nameOf(node)}' (${node.opType}, operator set ${from}) ${problem}: ${advice}`,
      );
    }
  }
  graph.operatorSet = QUANTIZABLE_OPERATOR_SET;
}

/** @returns why not, where it cannot be done. */
function upgrade(graph: Graph, node: NodeProto, from: number): string | undefined {
  switch (node.opType) {
    case 'If':
    case 'Loop':
    case 'Scan':
      return 'has a subgraph';
    case 'Dropout':
      if (node.output.some((name, index) => index > 0 && name !== '')) return 'gives a mask';
      keepAttributes(node, []);
      node.input.length = 1;
      return undefined;
    case 'BatchNormalization':
      if (from < 9 && integerAttribute(node, 'spatial', 1) === 0) return 'is not spatial';
      keepAttributes(node, ['epsilon', 'momentum']);
      return undefined;
    case 'Clip':
      upgradeClip(graph, node, from);
      return undefined;
    case 'Pad':
      upgradePad(graph, node, from);
      return undefined;
    case 'Slice':
      upgradeSlice(graph, node, from);
      return undefined;
    case 'TopK':
      if (from >= 10) return undefined;
      node.input = [node.input[0] ?? '', addIntegers(graph, `${nameOf(node)}.k`, [integerAttribute(node, 'k', 1)])];
      keepAttributes(node, ['axis']);
      return undefined;
    case 'Squeeze':
    case 'Unsqueeze':
    case 'ReduceSum':
      attributeToInput(graph, node, 'axes');
      return undefined;
    case 'Split':
      attributeToInput(graph, node, 'split');
      return undefined;
    case 'Scatter':
      node.opType = 'ScatterElements';
      return undefined;
    case 'Upsample':
    case 'Resize':
      return upgradeResize(graph, node, from);
    case 'Softmax':
    case 'LogSoftmax':
    case 'Hardmax':
      upgradeSoftmax(graph, node);
      return undefined;
    default:
      return undefined;
  }
}

function upgradeClip(graph: Graph, node: NodeProto, from: number): void {
  if (from >= 11) return;
  node.input = [
    node.input[0] ?? '',
    graph.addConstant(`${nameOf(node)}.min`, Float32Array.of(floatAttribute(node, 'min', -3.4028234663852886e38)), []),
    graph.addConstant(`${nameOf(node)}.max`, Float32Array.of(floatAttribute(node, 'max', 3.4028234663852886e38)), []),
  ];
  keepAttributes(node, []);
}

function upgradePad(graph: Graph, node: NodeProto, from: number): void {
  if (from >= 11) return;
  node.input = [
    node.input[0] ?? '',
    addIntegers(graph, `${nameOf(node)}.pads`, integersAttribute(node, 'pads') ?? []),
    graph.addConstant(`${nameOf(node)}.value`, Float32Array.of(floatAttribute(node, 'value', 0)), []),
  ];
  keepAttributes(node, ['mode']);
}

function upgradeSlice(graph: Graph, node: NodeProto, from: number): void {
  if (from >= 10) return;
  const starts = integersAttribute(node, 'starts') ?? [];
  const axes = integersAttribute(node, 'axes') ?? starts.map((_, axis) => axis);
  node.input = [
    node.input[0] ?? '',
    addIntegers(graph, `${nameOf(node)}.starts`, starts),
    addIntegers(graph, `${nameOf(node)}.ends`, integersAttribute(node, 'ends') ?? []),
    addIntegers(graph, `${nameOf(node)}.axes`, axes),
  ];
  keepAttributes(node, []);
}

function keepAttributes(node: NodeProto, names: readonly string[]): void {
  node.attribute = node.attribute.filter(({ name }) => names.includes(name));
}

function addIntegers(graph: Graph, wish: string, values: readonly number[]): string {
  return graph.addConstant(wish, BigInt64Array.from(values, BigInt), [values.length]);
}

function attributeToInput(graph: Graph, node: NodeProto, attribute: string): void {
  const values = integersAttribute(node, attribute);
  if (values === undefined) return;
  node.input = [node.input[0] ?? '', addIntegers(graph, `${nameOf(node)}.${attribute}`, values)];
  node.attribute = node.attribute.filter(({ name }) => name !== attribute);
}

/** Before version 11 there was one way to map coordinates, which version 11 calls `asymmetric`. */
function upgradeResize(graph: Graph, node: NodeProto, from: number): string | undefined {
  if (from >= 11) return undefined;
  let scales = node.input[1];
  if (node.opType === 'Upsample' && from < 9) {
    const values = attributeOf(node, 'scales')?.floats;
    if (values === undefined) return 'has no scales';
    scales = graph.addConstant(`${nameOf(node)}.scales`, Float32Array.from(values), [values.length]);
  }
  const mode = textAttribute(node, 'mode', 'nearest');
  node.opType = 'Resize';
  node.input = [node.input[0] ?? '', '', scales ?? ''];
  node.attribute = [
    text('mode', mode === 'bilinear' ? 'linear' : mode),
    text('coordinate_transformation_mode', 'asymmetric'),
    text('nearest_mode', 'floor'),
  ];
  return undefined;
}

/** Before version 13 all axes from `axis` on were normalized together. */
function upgradeSoftmax(graph: Graph, node: NodeProto): void {
  const axis = integerAttribute(node, 'axis', 1);
  const [input = ''] = node.input;
  const [output = ''] = node.output;
  node.attribute = [integer('axis', -1)];
  const rank = graph.rankOf(output) ?? graph.rankOf(input);
  if (axis === -1 || axis === (rank ?? Number.NaN) - 1) return;
  const name = nameOf(node);
  const shape = graph.addNode('Shape', graph.freshName(`${name}.shape`), [input]);
  const attributes = [integer('axis', axis)];
  const flat = graph.addNode('Flatten', graph.freshName(`${name}.flat`), [input], { attributes });
  const normalized = graph.freshName(`${name}.normalized`);
  node.input = [flat];
  node.output = [normalized];
  graph.addNode('Reshape', output, [normalized, shape]);
}
