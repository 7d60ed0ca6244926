/**
 * Weights as float16, each with a Cast to float32 behind it: ONNX Runtime folds the Casts when it loads the model, so it
 * computes as before, and only the file is smaller.
 */

import { CompressError } from './compress-error.ts';
import type { Compressed, Note } from './note.ts';
import { integer } from './onnx/attribute.ts';
import { Graph } from './onnx/graph.ts';
import type { OnnxModel } from './onnx/model-file.ts';
import { DataType, elementsOf, floatsOf, shapeOf, toHalf } from './onnx/tensor-values.ts';

/** A Cast costs more than smaller tensors save. */
const MIN_ELEMENTS = 256;
/** The greatest finite number of float16. */
const MAX_FP16 = 65_504;

/** @throws CompressError (`model`) where no weights are stored as float32. */
export function storeHalf(model: OnnxModel): Compressed {
  const graph = new Graph(model);
  const notes = storeWeightsAsHalf(graph);
  if (!notes.some(({ kind }) => kind === 'cast')) {
    const text = `fp16-weights: no tensor of at least ${MIN_ELEMENTS} weights is stored as float32`;
    throw new CompressError('model', text);
  }
  return { model: graph.toModel('fp16-weights'), notes };
}

/** Whether weights are stored like this already. */
export function storesHalf(graph: Graph): boolean {
  return graph.nodes.some(
    (node) => node.opType === 'Cast' && graph.constant(node.input[0])?.dataType === DataType.FLOAT16,
  );
}

/** @returns a note for each tensor that is large enough. */
export function storeWeightsAsHalf(graph: Graph): Note[] {
  const notes: Note[] = [];
  for (const tensor of [...graph.constants]) {
    const { name, dataType } = tensor;
    if (dataType !== DataType.FLOAT || elementsOf(tensor) < MIN_ELEMENTS) continue;
    const about = { node: name, opType: 'Initializer' };
    const values = floatsOf(tensor) ?? new Float32Array();
    if (graph.isExposed(name)) {
      notes.push({ ...about, kind: 'kept', text: 'a subgraph or an output reads it' });
    } else if (values.some((value) => Math.abs(value) > MAX_FP16)) {
      notes.push({ ...about, kind: 'kept', text: `it holds values beyond ${MAX_FP16}, the greatest of float16` });
    } else {
      const half = graph.addConstant(`${name}.fp16`, toHalf(values), shapeOf(tensor));
      graph.removeConstant(name);
      graph.addNode('Cast', name, [half], { attributes: [integer('to', DataType.FLOAT)] });
      notes.push({ ...about, kind: 'cast', text: `${values.length} weights as float16` });
    }
  }
  return notes;
}
