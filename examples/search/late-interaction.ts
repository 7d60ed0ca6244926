/**
 * The graph that compares a query with a passage token by token ("late interaction", as in ColBERT): each token of the query looks for
 * the most similar token of the passage, and the score is the mean of these similarities.
 */

import onnxProto, { type onnx } from 'onnx-proto';

const { AttributeProto, ModelProto, TensorProto } = onnxProto.onnx;
const { DataType } = TensorProto;
const { AttributeType } = AttributeProto;

type Axis = number | string;

function port(name: string, elemType: number, axes: readonly Axis[]): onnx.IValueInfoProto {
  const dim = axes.map((axis) => (typeof axis === 'number' ? { dimValue: axis } : { dimParam: axis }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

function node(opType: string, input: string[], output: string, attribute: onnx.IAttributeProto[] = []) {
  return { opType, input, output: [output], attribute };
}

const integer = (name: string, i: number): onnx.IAttributeProto => ({ name, type: AttributeType.INT, i });
const integers = (name: string, ...ints: number[]): onnx.IAttributeProto => ({ name, type: AttributeType.INTS, ints });

/** Vectors of tokens, each scaled to the length 1. */
function scaled(states: string): onnx.INodeProto[] {
  return [
    node('ReduceL2', [states], `${states}_length`, [integers('axes', 2), integer('keepdims', 1)]),
    node('Div', [states, `${states}_length`], `${states}_scaled`),
  ];
}

/**
 * `query` and `passage` FP32 [pairs, tokens, width] with their masks INT64 [pairs, tokens] -> `score` FP32 [pairs, 1], from -1 to 1.
 */
export function lateInteractionGraph(width: number): Uint8Array {
  const graph: onnx.IGraphProto = {
    name: 'late_interaction',
    input: [
      port('query', DataType.FLOAT, ['pairs', 'query_tokens', width]),
      port('query_mask', DataType.INT64, ['pairs', 'query_tokens']),
      port('passage', DataType.FLOAT, ['pairs', 'passage_tokens', width]),
      port('passage_mask', DataType.INT64, ['pairs', 'passage_tokens']),
    ],
    output: [port('score', DataType.FLOAT, ['pairs', 1])],
    node: [
      ...scaled('query'),
      ...scaled('passage'),
      node('Transpose', ['passage_scaled'], 'passage_columns', [integers('perm', 0, 2, 1)]),
      node('MatMul', ['query_scaled', 'passage_columns'], 'similarity'),
      // A token of padding is never the most similar one.
      node('Unsqueeze', ['passage_mask', 'middle'], 'passage_marks'),
      node('Cast', ['passage_marks'], 'is_passage', [integer('to', DataType.BOOL)]),
      node('Where', ['is_passage', 'similarity', 'least'], 'real_similarity'),
      node('ReduceMax', ['real_similarity'], 'best', [integers('axes', 2), integer('keepdims', 0)]),
      node('Cast', ['query_mask'], 'query_marks', [integer('to', DataType.FLOAT)]),
      node('Mul', ['best', 'query_marks'], 'real_best'),
      node('ReduceSum', ['real_best', 'last'], 'sum', [integer('keepdims', 1)]),
      node('ReduceSum', ['query_marks', 'last'], 'count', [integer('keepdims', 1)]),
      node('Div', ['sum', 'count'], 'score'),
    ],
    initializer: [
      { name: 'middle', dataType: DataType.INT64, dims: [1], int64Data: [1] },
      { name: 'last', dataType: DataType.INT64, dims: [1], int64Data: [1] },
      { name: 'least', dataType: DataType.FLOAT, dims: [], floatData: [-1] },
    ],
  };
  return ModelProto.encode({ irVersion: 7, opsetImport: [{ domain: '', version: 13 }], graph }).finish();
}
