/** Tiny ONNX models, built from nothing: no test needs a model file, and each says what it is good for. */

import fs from 'node:fs';
import path from 'node:path';
import onnxProto from 'onnx-proto';
import type { Datatype } from '../../src/wire/tensor.ts';
import { randomFrom } from './random.ts';

const { onnx } = onnxProto;
type Node = onnxProto.onnx.INodeProto;
type Attribute = onnxProto.onnx.IAttributeProto;
type Initializer = onnxProto.onnx.ITensorProto;
type ValueInfo = onnxProto.onnx.IValueInfoProto;

/** An axis as ONNX describes it: a size, the name of an open one, or `''` for an open one without a name. */
export type Axis = number | string;

/** An input or output of a graph. */
export interface Port {
  readonly name: string;
  readonly datatype: Datatype;
  readonly axes: readonly Axis[];
}

const { DataType } = onnx.TensorProto;

const DATA_TYPES: Readonly<Record<Datatype, onnxProto.onnx.TensorProto.DataType>> = {
  BOOL: DataType.BOOL,
  UINT8: DataType.UINT8,
  UINT16: DataType.UINT16,
  UINT32: DataType.UINT32,
  UINT64: DataType.UINT64,
  INT8: DataType.INT8,
  INT16: DataType.INT16,
  INT32: DataType.INT32,
  INT64: DataType.INT64,
  FP16: DataType.FLOAT16,
  FP32: DataType.FLOAT,
  FP64: DataType.DOUBLE,
  BYTES: DataType.STRING,
  BF16: DataType.BFLOAT16,
};

/** `output` is `input`, bit for bit. Without `axes`: an open batch axis, then 4 elements a row. */
export function identityModel(
  datatype: Datatype,
  axes: readonly Axis[] = ['batch', 4],
  outputAxes: readonly Axis[] = axes,
): Uint8Array {
  return model({
    inputs: [{ name: 'input', datatype, axes }],
    outputs: [{ name: 'output', datatype, axes: outputAxes }],
    nodes: [node('Identity', ['input'], ['output'])],
  });
}

/** `output` is `input`, BYTES, in lower case. ONNX Runtime opens the locale when it opens the model; by default en_US.UTF-8. */
export function lowerCaseModel(locale?: string): Uint8Array {
  const attributes = [
    string('case_change_action', 'LOWER'),
    ...(locale === undefined ? [] : [string('locale', locale)]),
  ];
  return model({
    inputs: [{ name: 'input', datatype: 'BYTES', axes: ['texts'] }],
    outputs: [{ name: 'output', datatype: 'BYTES', axes: ['kept'] }],
    nodes: [node('StringNormalizer', ['input'], ['output'], attributes)],
  });
}

/** `output` is `input + offset`, both FP32 [batch,1]: an answer shows which model made it. */
export function additionModel(offset: number): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 1])],
    outputs: [fp32('output', ['batch', 1])],
    nodes: [node('Add', ['input', 'offset'], ['output'])],
    initializers: [floats('offset', [1], () => offset)],
  });
}

/** `values` are zeros of the FP32 shape that `shape`, INT64 [2], says: a few bytes that ask for any number of them. */
export function zerosModel(): Uint8Array {
  return model({
    inputs: [{ name: 'shape', datatype: 'INT64', axes: [2] }],
    outputs: [fp32('values', ['rows', 'columns'])],
    nodes: [node('ConstantOfShape', ['shape'], ['values'])],
  });
}

/** `output` repeats each row's value, FP32 [batch,1], as often as the largest value of the batch says. */
export function wideningModel(): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 1])],
    outputs: [fp32('output', ['batch', 'width'])],
    nodes: [
      node('ReduceMax', ['input'], ['largest'], [integers('axes', [0, 1]), integer('keepdims', 0)]),
      node('Cast', ['largest'], ['width'], [integer('to', DataType.INT64)]),
      node('Unsqueeze', ['width', 'first'], ['widths']),
      node('Concat', ['one', 'widths'], ['shape'], [integer('axis', 0)]),
      node('Expand', ['input', 'shape'], ['output']),
    ],
    initializers: [
      { name: 'first', dims: [1], dataType: DataType.INT64, int64Data: [0] },
      { name: 'one', dims: [1], dataType: DataType.INT64, int64Data: [1] },
    ],
  });
}

/** `output` is `input`, FP32 [batch,1], by way of a tensor of so many elements a row: a small file that takes much memory. */
export function spreadingModel(elements: number): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 1])],
    outputs: [fp32('output', ['batch', 1])],
    nodes: [
      node('Expand', ['input', 'shape'], ['wide']),
      node('ReduceMax', ['wide'], ['output'], [integers('axes', [1]), integer('keepdims', 1)]),
    ],
    initializers: [{ name: 'shape', dims: [2], dataType: DataType.INT64, int64Data: [1, elements] }],
  });
}

/** Each output is the input of the same place: `a` -> `a_out`, and so on. */
export function passThroughModel(inputs: readonly Port[]): Uint8Array {
  return model({
    inputs,
    outputs: inputs.map((input) => ({ ...input, name: `${input.name}_out` })),
    nodes: inputs.map(({ name }) => node('Identity', [name], [`${name}_out`])),
  });
}

/** Each output is an input, FP32 [batch,3], by whatever names. */
export function linkModel(outputs: ReadonlyMap<string, string>): Uint8Array {
  const axes = ['batch', 3];
  return model({
    inputs: [...new Set(outputs.values())].map((name) => fp32(name, axes)),
    outputs: [...outputs.keys()].map((name) => fp32(name, axes)),
    nodes: [...outputs].map(([to, from]) => node('Identity', [from], [to])),
  });
}

/** `y` is `x + offset`, FP32 [batch,3], where the graph lists `offset` among its inputs: older exporters do so for all weights. */
export function overridableModel(): Uint8Array {
  return model({
    inputs: [fp32('x', ['batch', 3]), fp32('offset', [3])],
    outputs: [fp32('y', ['batch', 3])],
    nodes: [node('Add', ['x', 'offset'], ['y'])],
    initializers: [floats('offset', [3], (index) => index * 10)],
  });
}

/** `sum` is `a + b`, FP32 with a batch axis and 2 elements a row: a model of two inputs, which `difference` distinguishes. */
export function sumModel(): Uint8Array {
  const axes = ['batch', 2];
  return model({
    inputs: [fp32('a', axes), fp32('b', axes)],
    outputs: [fp32('sum', axes), fp32('difference', axes)],
    nodes: [node('Add', ['a', 'b'], ['sum']), node('Sub', ['a', 'b'], ['difference'])],
  });
}

/** `input` [batch,4] -> relu(input · W1) · W2 -> `output` [batch,3]. Integer weights: sums are exact, whatever their order. */
export function mlpModel(): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 4])],
    outputs: [fp32('output', ['batch', 3])],
    nodes: [
      node('MatMul', ['input', 'W1'], ['hidden']),
      node('Relu', ['hidden'], ['active']),
      node('MatMul', ['active', 'W2'], ['output']),
    ],
    initializers: [floats('W1', [4, 8], (index) => (index % 7) - 3), floats('W2', [8, 3], (index) => (index % 5) - 2)],
  });
}

/** `output` is `input` plus `offset` in the first of three columns, both FP32 [batch,3]: two of them differ by a known amount. */
export function offsetModel(offset: number): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 3])],
    outputs: [fp32('output', ['batch', 3])],
    nodes: [node('Add', ['input', 'offset'], ['output'])],
    initializers: [floats('offset', [3], (index) => (index === 0 ? offset : 0))],
  });
}

/** `indices` INT64 [batch,2] -> `rows` [batch,2,3] of a table with `vocabulary` entries. Refuses an index beyond it; `rows[.., i]` starts with 3 · index. */
export function gatherModel(vocabulary: number): Uint8Array {
  return model({
    inputs: [{ name: 'indices', datatype: 'INT64', axes: ['batch', 2] }],
    outputs: [fp32('rows', ['batch', 2, 3])],
    nodes: [node('Gather', ['table', 'indices'], ['rows'], [integer('axis', 0)])],
    initializers: [floats('table', [vocabulary, 3], (index) => index)],
  });
}

/** Subtracts the mean over the batch: no row is independent of those beside it. */
export function batchMeanModel(): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 4])],
    outputs: [fp32('output', ['batch', 4])],
    nodes: [
      node('ReduceMean', ['input'], ['mean'], [integers('axes', [0]), integer('keepdims', 1)]),
      node('Sub', ['input', 'mean'], ['output']),
    ],
  });
}

/** Turns the order of the rows around: with batching, callers get the rows of others. */
export function rowReversingModel(): Uint8Array {
  const bound = (name: string, value: number): Initializer => {
    return { name, dims: [1], dataType: DataType.INT64, int64Data: [value] };
  };
  return model({
    inputs: [fp32('input', ['batch', 'width'])],
    outputs: [fp32('output', ['batch', 'width'])],
    nodes: [node('Slice', ['input', 'last', 'beyond', 'axis', 'step'], ['output'])],
    initializers: [bound('last', -1), bound('beyond', -(2 ** 31)), bound('axis', 0), bound('step', -1)],
  });
}

/** The first axis of the output is not the axis of the input: all rows are summed into one. */
export function batchSumModel(): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 4])],
    outputs: [fp32('output', ['rows', 4])],
    nodes: [node('ReduceSum', ['input', 'axes'], ['output'], [integer('keepdims', 1)])],
    initializers: [{ name: 'axes', dims: [1], dataType: DataType.INT64, int64Data: [0] }],
  });
}

/** Each row is one FP32 `x`; `places` [count,1] INT64 names the rows that are not zero: usually as many as rows. */
export function nonZeroModel(): Uint8Array {
  return model({
    inputs: [fp32('x', ['batch'])],
    outputs: [{ name: 'places', datatype: 'INT64', axes: ['count', 1] }],
    nodes: [
      node('NonZero', ['x'], ['found']),
      node('Mul', ['found', 'zero'], ['same']),
      node('Transpose', ['same'], ['places'], []),
    ],
    initializers: [{ name: 'zero', dims: [1], dataType: DataType.INT64, int64Data: [0] }],
  });
}

/** `y` [batch,1] is the sum of a row of `x` [batch,width], FP32: its width is open, but only one runs. */
export function widthModel(width: number): Uint8Array {
  return model({
    inputs: [fp32('x', ['batch', 'width'])],
    outputs: [fp32('y', ['batch', 1])],
    nodes: [node('MatMul', ['x', 'ones'], ['y'])],
    initializers: [floats('ones', [width, 1], () => 1)],
  });
}

/** Dynamic quantization: one scale for the whole batch, so that a large row changes the answers to those beside it. */
export function dynamicallyQuantizedModel(): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 4])],
    outputs: [fp32('output', ['batch', 4])],
    nodes: [
      node('DynamicQuantizeLinear', ['input'], ['quantized', 'scale', 'zero']),
      node('DequantizeLinear', ['quantized', 'scale', 'zero'], ['output']),
    ],
  });
}

/** Remembers through `total` [batch,1]: `sum` and `total_out` are `x` + `total`, all FP32 [batch,1]. */
export function accumulatorModel(): Uint8Array {
  const axes = ['batch', 1];
  return model({
    inputs: [fp32('x', axes), fp32('total', axes)],
    outputs: [fp32('sum', axes), fp32('total_out', axes)],
    nodes: [node('Add', ['x', 'total'], ['sum']), node('Identity', ['sum'], ['total_out'])],
  });
}

/**
 * Remembers two layers of three values, whose rows lie on axis 1: `memory_out` [2,batch,3] is `memory` + `x` [batch,3], and `y`
 * [batch,3] is what both layers have together. `scale`, a scalar, is multiplied with `x` before.
 */
export function layeredAccumulatorModel(): Uint8Array {
  return model({
    inputs: [fp32('x', ['batch', 3]), fp32('memory', [2, 'batch', 3]), { name: 'scale', datatype: 'FP32', axes: [] }],
    outputs: [fp32('y', ['batch', 3]), fp32('memory_out', [2, 'batch', 3])],
    nodes: [
      node('Mul', ['x', 'scale'], ['scaled']),
      node('Add', ['memory', 'scaled'], ['memory_out']),
      node('ReduceSum', ['memory_out', 'axes'], ['y'], [integer('keepdims', 0)]),
    ],
    initializers: [{ name: 'axes', dims: [1], dataType: DataType.INT64, int64Data: [0] }],
  });
}

/** The MLP in half precision, FP16 outside and inside. */
export function halfPrecisionModel(): Uint8Array {
  return model({
    inputs: [{ name: 'input', datatype: 'FP16', axes: ['batch', 4] }],
    outputs: [{ name: 'output', datatype: 'FP16', axes: ['batch', 3] }],
    nodes: [node('MatMul', ['input', 'W'], ['product']), node('Tanh', ['product'], ['output'])],
    // 0x3800 is 0.5; the bits below it are the fraction.
    initializers: [
      {
        name: 'W',
        dims: [4, 3],
        dataType: DataType.FLOAT16,
        int32Data: Array.from({ length: 12 }, (_, index) => 0x3800 + index * 32),
      },
    ],
  });
}

/** What a text encoder masks: everything it should, its attention only, or nothing. */
export type Masking = 'all' | 'attention' | 'none';

const ENCODER = { vocabulary: 128, positions: 512, width: 16 } as const;

/**
 * A text encoder of one layer: embeddings of words and positions, attention, layer normalization. `input_ids` and
 * `attention_mask`, INT64 [batch,sequence] -> `last_hidden_state` [batch,sequence,16], `attentions` [batch,sequence,sequence] and
 * their mean, `pooled` [batch,16].
 */
export function encoderModel(masking: Masking = 'all', mask = 'attention_mask'): Uint8Array {
  const { vocabulary, positions, width } = ENCODER;
  const random = randomFrom(7);
  const weights = (name: string, dims: readonly number[]): Initializer => floats(name, dims, () => random() * 2 - 1);
  const scalar = (name: string, value: number): Initializer => ({
    name,
    dims: [],
    dataType: DataType.INT64,
    int64Data: [value],
  });
  const axis = (name: string, value: number): Initializer => ({ ...scalar(name, value), dims: [1] });
  const isAttentionMasked = masking !== 'none';
  return model({
    inputs: [
      { name: 'input_ids', datatype: 'INT64', axes: ['batch', 'sequence'] },
      { name: mask, datatype: 'INT64', axes: ['batch', 'sequence'] },
    ],
    outputs: [
      fp32('last_hidden_state', ['batch', 'sequence', width]),
      fp32('attentions', ['batch', 'sequence', 'sequence']),
      fp32('pooled', ['batch', width]),
    ],
    nodes: [
      node('Shape', ['input_ids'], ['sizes']),
      node('Gather', ['sizes', 'second'], ['length']),
      node('Range', ['zero', 'length', 'step'], ['places']),
      node('Gather', ['words', 'input_ids'], ['word']),
      node('Gather', ['positions', 'places'], ['position']),
      node('Add', ['word', 'position'], ['embedded']),
      node('MatMul', ['embedded', 'Q'], ['queries']),
      node('MatMul', ['embedded', 'K'], ['keys']),
      node('MatMul', ['embedded', 'V'], ['values']),
      node('Transpose', ['keys'], ['turned'], [integers('perm', [0, 2, 1])]),
      node('MatMul', ['queries', 'turned'], ['scores']),
      node('Cast', [mask], ['real'], [integer('to', DataType.FLOAT)]),
      node('Sub', ['one', 'real'], ['hidden']),
      node('Mul', ['hidden', 'far'], ['distance']),
      node('Unsqueeze', ['distance', 'middle'], ['distances']),
      node('Add', ['scores', isAttentionMasked ? 'distances' : 'nothing'], ['masked']),
      node('Softmax', ['masked'], ['attentions'], [integer('axis', -1)]),
      node('MatMul', ['attentions', 'values'], ['attended']),
      node('Add', ['embedded', 'attended'], ['sum']),
      node('ReduceMean', ['sum'], ['mean'], [integers('axes', [-1])]),
      node('Sub', ['sum', 'mean'], ['centered']),
      node('Mul', ['centered', 'centered'], ['squares']),
      node('ReduceMean', ['squares'], ['variance'], [integers('axes', [-1])]),
      node('Add', ['variance', 'epsilon'], ['positive']),
      node('Sqrt', ['positive'], ['deviation']),
      node('Div', ['centered', 'deviation'], ['last_hidden_state']),
      ...(masking === 'all'
        ? [
            node('Unsqueeze', ['real', 'last'], ['weight']),
            node('Mul', ['last_hidden_state', 'weight'], ['weighted']),
            node('ReduceSum', ['weighted', 'middle'], ['total'], [integer('keepdims', 0)]),
            node('ReduceSum', ['real', 'middle'], ['count'], [integer('keepdims', 1)]),
            node('Div', ['total', 'count'], ['pooled']),
          ]
        : [node('ReduceMean', ['last_hidden_state'], ['pooled'], [integers('axes', [1]), integer('keepdims', 0)])]),
    ],
    initializers: [
      scalar('second', 1),
      scalar('zero', 0),
      scalar('step', 1),
      axis('middle', 1),
      axis('last', -1),
      floats('one', [], () => 1),
      floats('far', [], () => -1e9),
      floats('nothing', [], () => 0),
      floats('epsilon', [], () => 1e-6),
      weights('words', [vocabulary, width]),
      weights('positions', [positions, width]),
      weights('Q', [width, width]),
      weights('K', [width, width]),
      weights('V', [width, width]),
    ],
  });
}

/** How a model without attention uses padding although it has a mask: `textModel`. */
export type Leak = 'dynamic' | 'last' | 'greatest' | 'count' | 'doubled';

/** `ids` and `mask`, INT64 [batch,sequence] -> `y`, FP32: each answer depends on how long the batch is. */
export function textModel(leak: Leak): Uint8Array {
  const axes = ['batch', 'sequence'];
  const index = (name: string, value: number, dims = [1]): Initializer => {
    return { name, dims, dataType: DataType.INT64, int64Data: [value] };
  };
  const ends: Readonly<Record<Leak, readonly Node[]>> = {
    dynamic: [
      node('DynamicQuantizeLinear', ['masked'], ['quantized', 'scale', 'zero']),
      node('DequantizeLinear', ['quantized', 'scale', 'zero'], ['y']),
    ],
    last: [node('Gather', ['masked', 'end'], ['y'], [integer('axis', 1)])],
    greatest: [
      node('Neg', ['masked'], ['negative']),
      node('ReduceMax', ['negative'], ['y'], [integers('axes', [1]), integer('keepdims', 1)]),
    ],
    count: [
      node('Add', ['masked', 'one'], ['counted']),
      node('ReduceSum', ['counted', 'second'], ['y'], [integer('keepdims', 1)]),
    ],
    doubled: [
      node('Concat', ['masked', 'masked'], ['twice'], [integer('axis', 1)]),
      node('Unsqueeze', ['twice', 'third'], ['y']),
    ],
  };
  const outputs: Readonly<Record<Leak, readonly Axis[]>> = {
    dynamic: axes,
    last: ['batch', 1],
    greatest: ['batch', 1],
    count: ['batch', 1],
    doubled: ['batch', 'twice', 1],
  };
  return model({
    inputs: [
      { name: 'ids', datatype: 'INT64', axes },
      { name: 'mask', datatype: 'INT64', axes },
    ],
    outputs: [fp32('y', outputs[leak])],
    nodes: [
      node('Add', ['ids', 'whole'], ['above']),
      node('Mul', ['above', 'mask'], ['product']),
      node('Cast', ['product'], ['masked'], [integer('to', DataType.FLOAT)]),
      ...ends[leak],
    ],
    initializers: [
      index('whole', 1),
      index('end', -1),
      index('second', 1),
      index('third', 2),
      floats('one', [], () => 1),
    ],
  });
}

/** A model whose first axis is fixed. */
export function fixedBatchModel(rows: number): Uint8Array {
  return identityModel('FP32', [rows, 4]);
}

/** A 3x3 convolution of stride 2 over [batch,3,height,width], both open: images below 3x3 are refused. */
export function convolutionModel(): Uint8Array {
  return model({
    inputs: [fp32('image', ['batch', 3, 'height', 'width'])],
    outputs: [fp32('features', ['batch', 2, 'rows', 'columns'])],
    nodes: [
      node('Conv', ['image', 'W'], ['features'], [integers('kernel_shape', [3, 3]), integers('strides', [2, 2])]),
    ],
    initializers: [floats('W', [2, 3, 3, 3], (index) => ((index % 9) - 4) / 8)],
  });
}

/** `output` is always these FP32 values, an initializer; `input` FP32 [batch,1] goes nowhere. */
export function constantModel(values: readonly number[]): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 1])],
    outputs: [fp32('output', [values.length])],
    nodes: [node('Identity', ['W'], ['output'])],
    initializers: [floats('W', [values.length], (index) => values[index] ?? 0)],
  });
}

/** `output` INT64 [2] is the shape of `input` FP32 [batch,columns]. */
export function shapeModel(): Uint8Array {
  return model({
    inputs: [fp32('input', ['batch', 'columns'])],
    outputs: [{ name: 'output', datatype: 'INT64', axes: [2] }],
    nodes: [node('Shape', ['input'], ['output'])],
  });
}

/**
 * Runs as long as one wishes: the largest of `iterations` INT64 [batch,1] says how often two matrices are multiplied, at
 * about 50 us each. `output` is `input`, both FP32 [batch,1].
 */
export function loopModel(): Uint8Array {
  return loop({
    inputs: [{ name: 'iterations', datatype: 'INT64', axes: ['batch', 1] }],
    nodes: [node('ReduceMax', ['iterations'], ['trips'], [integer('keepdims', 0)])],
    outputs: [],
  });
}

/** A model that always takes the same time: `output` is `input`, both FP32 [batch,columns], after so many iterations. */
export function slowModel(iterations: number, columns = 1): Uint8Array {
  const trips: Graph = {
    inputs: [],
    // In terms of the input, so that nothing of it can be computed ahead.
    nodes: [
      node('Sub', ['input', 'input'], ['zeros']),
      node('ReduceMax', ['zeros'], ['zero'], [integer('keepdims', 0)]),
      node('Cast', ['zero'], ['none'], [integer('to', DataType.INT64)]),
      node('Add', ['none', 'iterations'], ['trips']),
    ],
    outputs: [],
    initializers: [{ name: 'iterations', dims: [], dataType: DataType.INT64, int64Data: [iterations] }],
  };
  return loop(trips, columns);
}

/** @param trips computes `trips`, a scalar; it may use `input`. */
function loop(trips: Graph, columns = 1): Uint8Array {
  const body = {
    name: 'body',
    node: [
      node('Identity', ['condition_in'], ['condition_out']),
      node('MatMul', ['state_in', 'matrix'], ['state_out']),
    ],
    input: [
      valueInfo({ name: 'iteration', datatype: 'INT64', axes: [] }),
      valueInfo({ name: 'condition_in', datatype: 'BOOL', axes: [] }),
      valueInfo(fp32('state_in', [128, 128])),
    ],
    output: [
      valueInfo({ name: 'condition_out', datatype: 'BOOL', axes: [] }),
      valueInfo(fp32('state_out', [128, 128])),
    ],
  };
  return model({
    inputs: [...trips.inputs, fp32('input', ['batch', columns])],
    outputs: [fp32('output', ['batch', columns])],
    nodes: [
      ...trips.nodes,
      node('Loop', ['trips', 'forever', 'identity'], ['state'], [{ name: 'body', type: AttributeType.GRAPH, g: body }]),
      // The state stays the identity matrix: its mean, times 128, is 1.
      node('ReduceMean', ['state'], ['mean'], [integer('keepdims', 0)]),
      node('Mul', ['mean', 'scale'], ['one']),
      node('Mul', ['input', 'one'], ['output']),
    ],
    initializers: [
      ...(trips.initializers ?? []),
      { name: 'forever', dims: [], dataType: DataType.BOOL, int32Data: [1] },
      floats('identity', [128, 128], (index) => (index % 129 === 0 ? 1 : 0)),
      floats('matrix', [128, 128], (index) => (index % 129 === 0 ? 1 : 0)),
      floats('scale', [], () => 128),
    ],
  });
}

/** Writes a version of a model where a repository expects it, and returns the file's path. */
export function writeModel(repository: string, name: string, version: number, bytes: Uint8Array): string {
  const directory = path.join(repository, name, String(version));
  fs.mkdirSync(directory, { recursive: true });
  const file = path.join(directory, 'model.onnx');
  fs.writeFileSync(file, bytes);
  return file;
}

interface Graph {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly nodes: readonly Node[];
  readonly initializers?: readonly Initializer[];
}

/** The bytes of a model of operator set 13. */
export function model({ inputs, outputs, nodes, initializers = [] }: Graph): Uint8Array {
  return onnx.ModelProto.encode({
    irVersion: 7,
    opsetImport: [{ domain: '', version: 13 }],
    graph: {
      name: 'test',
      node: [...nodes],
      initializer: [...initializers],
      input: inputs.map(valueInfo),
      output: outputs.map(valueInfo),
    },
  }).finish();
}

const { AttributeType } = onnx.AttributeProto;

function node(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attribute: readonly Attribute[] = [],
): Node {
  return { opType, input: [...input], output: [...output], attribute: [...attribute] };
}

function integer(name: string, i: number): Attribute {
  return { name, type: AttributeType.INT, i };
}

function string(name: string, value: string): Attribute {
  return { name, type: AttributeType.STRING, s: Buffer.from(value) };
}

function integers(name: string, ints: readonly number[]): Attribute {
  return { name, type: AttributeType.INTS, ints: [...ints] };
}

function floats(name: string, dims: readonly number[], at: (index: number) => number): Initializer {
  const count = dims.reduce((product, size) => product * size, 1);
  return {
    name,
    dims: [...dims],
    dataType: DataType.FLOAT,
    floatData: Array.from({ length: count }, (_, index) => at(index)),
  };
}

function fp32(name: string, axes: readonly Axis[]): Port {
  return { name, datatype: 'FP32', axes };
}

function valueInfo({ name, datatype, axes }: Port): ValueInfo {
  const dim = axes.map((axis) =>
    typeof axis === 'number' ? { dimValue: axis } : axis === '' ? {} : { dimParam: axis },
  );
  return { name, type: { tensorType: { elemType: DATA_TYPES[datatype], shape: { dim } } } };
}

/** `output` is `input` times a matrix that lies in a file beside the model. */
export function externalMatrixModel(rows: number, columns: number, location: string): Uint8Array {
  const matrix = {
    name: 'matrix',
    dims: [rows, columns],
    dataType: DataType.FLOAT,
    dataLocation: onnx.TensorProto.DataLocation.EXTERNAL,
    externalData: [{ key: 'location', value: location }],
  };
  return model({
    inputs: [fp32('input', ['batch', rows])],
    outputs: [fp32('output', ['batch', columns])],
    nodes: [node('MatMul', ['input', 'matrix'], ['output'])],
    initializers: [matrix],
  });
}

/** The model with the values of an initializer in a file beside it, from its first byte on. */
export function withExternalData(bytes: Uint8Array, name: string, location: string): Uint8Array {
  const decoded = onnx.ModelProto.decode(bytes);
  for (const tensor of decoded.graph?.initializer ?? []) {
    if (tensor.name !== name) continue;
    tensor.floatData = [];
    tensor.dataLocation = onnx.TensorProto.DataLocation.EXTERNAL;
    tensor.externalData = [onnx.StringStringEntryProto.create({ key: 'location', value: location })];
  }
  return onnx.ModelProto.encode(decoded).finish();
}
