/** The three small graphs between PaddleOCR's models, so that pixels go in and characters come out. Each treats rows alike and apart. */

import onnxProto, { type onnx } from 'onnx-proto';

const { AttributeProto, ModelProto, TensorProto } = onnxProto.onnx;
const { DataType } = TensorProto;
const { AttributeType } = AttributeProto;

type Axis = number | string;

function port(name: string, elemType: number, axes: readonly Axis[]): onnx.IValueInfoProto {
  const dim = axes.map((axis) => (typeof axis === 'number' ? { dimValue: axis } : { dimParam: axis }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

function node(
  opType: string,
  input: string[],
  output: string,
  attribute: onnx.IAttributeProto[] = [],
): onnx.INodeProto {
  return { opType, input, output: [output], attribute };
}

function integer(name: string, i: number): onnx.IAttributeProto {
  return { name, type: AttributeType.INT, i };
}

function integers(name: string, ints: number[]): onnx.IAttributeProto {
  return { name, type: AttributeType.INTS, ints };
}

function int64(name: string, ...values: number[]): onnx.ITensorProto {
  return { name, dataType: DataType.INT64, dims: [values.length], int64Data: values };
}

function fp32(name: string, value: number): onnx.ITensorProto {
  return { name, dataType: DataType.FLOAT, dims: [], floatData: [value] };
}

function encode(graph: onnx.IGraphProto): Uint8Array {
  const opsetImport = [{ domain: '', version: 13 }];
  return ModelProto.encode({ irVersion: 7, opsetImport, graph: { name: 'ocr', ...graph } }).finish();
}

/** `image` UINT8 [batch,48,width,3] -> `pixels` FP32 [batch,3,48,width] from -1 to 1, as the models were trained. */
export function prepareGraph(): Uint8Array {
  return encode({
    input: [port('image', DataType.UINT8, ['batch', 48, 'width', 3])],
    output: [port('pixels', DataType.FLOAT, ['batch', 3, 48, 'width'])],
    node: [
      node('Cast', ['image'], 'numbers', [integer('to', DataType.FLOAT)]),
      node('Div', ['numbers', 'half'], 'scaled'),
      node('Sub', ['scaled', 'one'], 'centred'),
      node('Transpose', ['centred'], 'pixels', [integers('perm', [0, 3, 1, 2])]),
    ],
    initializer: [fp32('half', 127.5), fp32('one', 1)],
  });
}

/** `pixels` FP32 [batch,3,48,width] -> `turned`, by 180 degrees where `angle` FP32 [batch,2] says so with more than 0.9. */
export function turnGraph(): Uint8Array {
  return encode({
    input: [port('pixels', DataType.FLOAT, ['batch', 3, 48, 'width']), port('angle', DataType.FLOAT, ['batch', 2])],
    output: [port('turned', DataType.FLOAT, ['batch', 3, 48, 'width'])],
    node: [
      node('Slice', ['pixels', 'last', 'beyond', 'height_and_width', 'backwards'], 'reversed'),
      node('Slice', ['angle', 'second', 'end', 'classes'], 'upside_down'),
      node('Unsqueeze', ['upside_down', 'height_and_width'], 'of_each_image'),
      node('Greater', ['of_each_image', 'sure'], 'is_turned'),
      node('Where', ['is_turned', 'reversed', 'pixels'], 'turned'),
    ],
    initializer: [
      int64('last', -1, -1),
      int64('beyond', -(2 ** 31), -(2 ** 31)),
      int64('height_and_width', 2, 3),
      int64('backwards', -1, -1),
      int64('second', 1),
      int64('end', 2),
      int64('classes', 1),
      fp32('sure', 0.9),
    ],
  });
}

/**
 * `probabilities` FP32 [batch,steps,characters] -> `characters` BYTES [batch,steps] and `confidence` FP32 [batch,steps]. The
 * best of each step; `''` where that is the blank, or the same as in the step before (greedy decoding of CTC).
 * @param characters by class; the first is the blank, `''`.
 */
export function spellGraph(characters: readonly string[]): Uint8Array {
  return encode({
    input: [port('probabilities', DataType.FLOAT, ['batch', 'steps', characters.length])],
    output: [
      port('characters', DataType.STRING, ['batch', 'steps']),
      port('confidence', DataType.FLOAT, ['batch', 'steps']),
    ],
    node: [
      node('ReduceMax', ['probabilities'], 'confidence', [integers('axes', [2]), integer('keepdims', 0)]),
      node('ArgMax', ['probabilities'], 'best', [integer('axis', 2), integer('keepdims', 0)]),
      // The step before: all but the last, behind a blank.
      node('Slice', ['best', 'zero', 'minus_one', 'one'], 'all_but_last'),
      node('Slice', ['best', 'zero', 'one', 'one'], 'first'),
      node('Sub', ['first', 'first'], 'blank'),
      node('Concat', ['blank', 'all_but_last'], 'before', [integer('axis', 1)]),
      node('Equal', ['best', 'before'], 'is_repeated'),
      node('Where', ['is_repeated', 'zero', 'best'], 'kept'),
      node('Gather', ['alphabet', 'kept'], 'characters', [integer('axis', 0)]),
    ],
    initializer: [
      int64('zero', 0),
      int64('one', 1),
      int64('minus_one', -1),
      {
        name: 'alphabet',
        dataType: DataType.STRING,
        dims: [characters.length],
        stringData: characters.map((character) => new TextEncoder().encode(character)),
      },
    ],
  });
}
