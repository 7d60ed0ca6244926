/** The models of the recording, as ONNX files: the same names, tensors and values. */

import onnxProto from 'onnx-proto';
import type { Datatype } from '../../src/wire/tensor.ts';
import { codeModel } from '../support/code-models.ts';
import { type Axis, model } from '../support/onnx-models.ts';
import type { ModelFiles } from '../support/repository.ts';

const { DataType } = onnxProto.onnx.TensorProto;
const { AttributeType } = onnxProto.onnx.AttributeProto;

/** Models of the recording that need what only Triton's Python backend does, and why they are not here. */
export const LACKING: Readonly<Record<string, string>> = {
  slow: 'sleeps as long as its input says',
  slow_nb: 'likewise, without batching',
  params: "shows a request's parameters",
};

/** A sequence without a request for so long has ended. */
export const SEQUENCE_IDLE_MS = 2_000;

const LATEST = { version_policy: { latest: { num_versions: 1 } } };

/** The models of the server that loads all, and of the server that loads on request. */
export const MODELS = {
  add: {
    versions: { 1: add() },
    config: {
      ...LATEST,
      max_batch_size: 8,
      output: [
        { name: 'SUM', data_type: 'TYPE_FP32', dims: [4], label_filename: 'labels.txt' },
        { name: 'DIFF', data_type: 'TYPE_FP32', dims: [4] },
      ],
      instance_group: [{ count: 1, kind: 'KIND_CPU' }],
    },
    files: { 'labels.txt': 'cat\ndog\nbird\nfish\n' },
  },
  auto: add(),
  bad: { versions: { 1: Buffer.from('this is no model') } },
  badcfg: { versions: { 1: add() }, config: { no_such_field: 1 } },
  latest: { versions: multiples(), config: { ...LATEST, max_batch_size: 4 } },
  specific: {
    versions: multiples(),
    config: { version_policy: { specific: { versions: [1, 3] } }, max_batch_size: 4 },
  },
  all: { versions: multiples(), config: { version_policy: { all: {} }, max_batch_size: 4 } },
  identity_fp32: identity('FP32'),
  identity_fp16: identity('FP16'),
  identity_int8: identity('INT8'),
  identity_bool: identity('BOOL'),
  identity_bytes: identity('BYTES'),
  identity_batch: { versions: { 1: identityModel('FP32', ['batch', 'n']) }, config: { ...LATEST, max_batch_size: 64 } },
  seq: {
    versions: { 1: runningSum() },
    config: {
      ...LATEST,
      max_batch_size: 4,
      sequence_batching: {
        max_sequence_idle_microseconds: SEQUENCE_IDLE_MS * 1_000,
        direct: {},
        state: [{ input_name: 'sum', output_name: 'OUT_AND_SUM', data_type: 'TYPE_INT32', dims: [1] }],
      },
    },
  },
  repeat: codeModel(
    'export async function* infer([{ IN }]) { for (let sent = 0; sent < IN.data[0]; sent++) yield { OUT: [sent] }; }',
    {
      max_batch_size: 0,
      input: [{ name: 'IN', data_type: 'TYPE_INT32', dims: [1] }],
      output: [{ name: 'OUT', data_type: 'TYPE_INT32', dims: [1] }],
      model_transaction_policy: { decoupled: true },
    },
  ),
  cifar_b32: { versions: { 1: images() }, config: { ...LATEST, max_batch_size: 32 } },
} satisfies Record<string, Uint8Array | ModelFiles>;

/** A and B [batch,4] -> their SUM and their DIFF. */
function add(): Uint8Array {
  const port = (name: string) => ({ name, datatype: 'FP32', axes: ['batch', 4] }) as const;
  return model({
    inputs: [port('A'), port('B')],
    outputs: [port('SUM'), port('DIFF')],
    nodes: [
      { opType: 'Add', input: ['A', 'B'], output: ['SUM'] },
      { opType: 'Sub', input: ['A', 'B'], output: ['DIFF'] },
    ],
  });
}

/** Versions 1, 2 and 3 multiply X [batch,2] by their number. */
function multiples(): Record<number, Uint8Array> {
  const port = (name: string) => ({ name, datatype: 'FP32', axes: ['batch', 2] }) as const;
  const times = (factor: number): Uint8Array =>
    model({
      inputs: [port('X')],
      outputs: [port('Y')],
      nodes: [{ opType: 'Mul', input: ['X', 'factor'], output: ['Y'] }],
      initializers: [{ name: 'factor', dims: [], dataType: DataType.FLOAT, floatData: [factor] }],
    });
  return { 1: times(1), 2: times(2), 3: times(3) };
}

function identity(datatype: Datatype): ModelFiles {
  return { versions: { 1: identityModel(datatype, ['n']) }, config: { ...LATEST, max_batch_size: 0 } };
}

function identityModel(datatype: Datatype, axes: readonly Axis[]): Uint8Array {
  return model({
    inputs: [{ name: 'INPUT0', datatype, axes }],
    outputs: [{ name: 'OUTPUT0', datatype, axes }],
    nodes: [{ opType: 'Identity', input: ['INPUT0'], output: ['OUTPUT0'] }],
  });
}

/** OUT [batch,1] is the sum of what IN was in a sequence; between its requests the sum is kept by the server. */
function runningSum(): Uint8Array {
  const port = (name: string) => ({ name, datatype: 'INT32', axes: ['batch', 1] }) as const;
  return model({
    inputs: [port('IN'), port('sum')],
    outputs: [port('OUT'), port('OUT_AND_SUM')],
    nodes: [
      { opType: 'Add', input: ['IN', 'sum'], output: ['OUT'] },
      { opType: 'Identity', input: ['OUT'], output: ['OUT_AND_SUM'] },
    ],
  });
}

/** The shapes of a CIFAR-10 model; what it computes is never asked. */
function images(): Uint8Array {
  return model({
    inputs: [{ name: 'input', datatype: 'FP32', axes: ['batch', 3, 32, 32] }],
    outputs: [{ name: 'logits', datatype: 'FP32', axes: ['batch', 10] }],
    nodes: [
      {
        opType: 'ReduceMean',
        input: ['input'],
        output: ['means'],
        attribute: [
          { name: 'axes', type: AttributeType.INTS, ints: [2, 3] },
          { name: 'keepdims', type: AttributeType.INT, i: 0 },
        ],
      },
      { opType: 'MatMul', input: ['means', 'weights'], output: ['logits'] },
    ],
    initializers: [
      { name: 'weights', dims: [3, 10], dataType: DataType.FLOAT, floatData: Array.from({ length: 30 }, () => 1) },
    ],
  });
}
