/**
 * Magnitude pruning: the smallest weights of each layer become 0 (Han et al., 2015). ONNX Runtime multiplies by zeros as by
 * any number: the model is neither faster nor smaller on disk, and takes fewer bytes only where its file is packed.
 */

import type { NodeProto, TensorProto } from '../onnx/onnx_pb.ts';
import { CompressError } from './compress-error.ts';
import { foldConstants } from './folding.ts';
import { storesHalf, storeWeightsAsHalf } from './fp16-weights.ts';
import type { Compressed, Note } from './note.ts';
import { Graph, nameOf } from './onnx/graph.ts';
import type { OnnxModel } from './onnx/model-file.ts';
import { DataType, elementsOf, floatsOf, shapeOf } from './onnx/tensor-values.ts';

const WEIGHTED = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
/** Smaller layers hold few bytes, and each of their weights counts. */
const MIN_ELEMENTS = 1024;
/** Minimum share of all weights: an input layer with less is not changed, because everything depends on its few weights. */
const SMALL_SHARE = 0.1;

/**
 * @param share of the weights of each layer, above 0 and below 1.
 * @throws CompressError (`model`) where no layer is large enough.
 */
export function prune(model: OnnxModel, share: number): Compressed {
  const graph = new Graph(model);
  const half = storesHalf(graph);
  foldConstants(graph);
  const notes: Note[] = [];
  const pruned = new Map<string, string>();
  const first = firstLayers(graph);
  const total = [...weightsIn(graph)].reduce((sum, tensor) => sum + elementsOf(tensor), 0);
  for (const node of graph.nodes) {
    if (node.domain !== '' || !WEIGHTED.has(node.opType)) continue;
    const about = { node: nameOf(node), opType: node.opType };
    const [input = '', name = ''] = node.input;
    const tensor = graph.constant(name);
    const values = tensor?.dataType === DataType.FLOAT ? floatsOf(tensor) : undefined;
    if (tensor === undefined || values === undefined) {
      notes.push({ ...about, kind: 'kept', text: 'its weights are no constants of float32' });
    } else if (values.length < MIN_ELEMENTS) {
      notes.push({ ...about, kind: 'kept', text: `it has only ${values.length} weights` });
    } else if (first.has(node) && values.length < total * SMALL_SHARE) {
      notes.push({
        ...about,
        kind: 'kept',
        text: 'an input layer is kept, because everything depends on its few weights',
      });
    } else {
      const made =
        pruned.get(name) ?? graph.addConstant(`${name}.sparse`, smallestToZero(values, share), shapeOf(tensor));
      pruned.set(name, made);
      node.input = [input, made, ...node.input.slice(2)];
      const text = `${Math.floor(values.length * share)} of ${values.length} weights are 0: it saves bytes only where the file is packed`;
      notes.push({ ...about, kind: 'pruned', text });
    }
  }
  if (pruned.size === 0) {
    throw new CompressError('model', `sparse:${share}: no layer has at least ${MIN_ELEMENTS} weights of float32`);
  }
  if (half) storeWeightsAsHalf(graph);
  return { model: graph.toModel(`sparse:${share}`), notes };
}

/** The matrices and kernels of a graph, each once. */
function weightsIn(graph: Graph): Set<TensorProto> {
  const layers = graph.nodes.filter(({ opType, domain }) => domain === '' && WEIGHTED.has(opType));
  return new Set(layers.flatMap(({ input }) => graph.constant(input[1]) ?? []));
}

/** Layers that no other layer with weights is before. The nodes of a model are in topological order. */
function firstLayers(graph: Graph): Set<NodeProto> {
  const behind = new Set<string>();
  const first = new Set<NodeProto>();
  for (const node of graph.nodes) {
    const isBehind = node.input.some((name) => behind.has(name));
    if (!isBehind && !WEIGHTED.has(node.opType)) continue;
    if (!isBehind) first.add(node);
    for (const name of node.output) behind.add(name);
  }
  return first;
}

function smallestToZero(values: Float32Array, share: number): Float32Array {
  const count = Math.floor(values.length * share);
  const sizes = values.map(Math.abs).sort();
  const limit = sizes[count] ?? Number.POSITIVE_INFINITY;
  // Among the weights exactly at the limit, the first ones fill up the count.
  let atLimit = count - sizes.indexOf(limit);
  return values.map((value) => {
    const size = Math.abs(value);
    if (size < limit) return 0;
    return size === limit && atLimit-- > 0 ? 0 : value;
  });
}
