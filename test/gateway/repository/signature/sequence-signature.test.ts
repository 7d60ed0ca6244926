import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { MODEL_CONFIG, ModelConfigError } from '../../../../src/gateway/repository/config/model-config.ts';
import { NO_FILES, readModelFiles } from '../../../../src/gateway/repository/model-files.ts';
import { resolveSignature } from '../../../../src/gateway/repository/signature/model-signature.ts';
import {
  resolveSequences,
  type SequenceSignature,
} from '../../../../src/gateway/repository/signature/sequence-signature.ts';
import type { Datatype } from '../../../../src/wire/tensor.ts';
import type { SessionInfo, SessionTensor } from '../../../../src/worker/protocol.ts';
import { temporaryDirectory } from '../../../support/temporary-directory.ts';

type Config = z.input<typeof MODEL_CONFIG>;
type Sequences = NonNullable<Config['sequence_batching']>;

function tensor(name: string, axes: readonly (number | string)[], datatype: Datatype = 'FP32'): SessionTensor {
  return { name, datatype, axes, shape: axes.map((axis) => (typeof axis === 'number' ? axis : -1)) };
}

const INFO: SessionInfo = {
  inputs: [
    tensor('start', ['batch', 1]),
    tensor('x', ['batch', 4]),
    tensor('h', [2, 'batch', 3], 'INT16'),
    tensor('id', ['batch'], 'UINT64'),
    tensor('wide', ['batch', 2], 'INT32'),
    tensor('text', ['batch', 1], 'BYTES'),
  ],
  outputs: [tensor('y', ['batch', 1]), tensor('hn', [2, 'batch', 3], 'INT16')],
  provider: 'cpu',
  refusals: [],
};

const STATE = { input_name: 'h', output_name: 'hn', data_type: 'TYPE_INT16' as const, dims: [2, 3] };
const START = {
  name: 'start',
  control: [{ kind: 'CONTROL_SEQUENCE_START' as const, fp32_false_true: [0, 1] }],
};

async function resolve(
  sequence_batching: Sequences,
  more: Config = {},
  directory = '/nowhere',
): Promise<SequenceSignature | undefined> {
  const config = MODEL_CONFIG.parse({ ...more, sequence_batching });
  return resolveSequences(resolveSignature(INFO, config), config, await readModelFiles(directory, config));
}

function names(tensors: readonly { readonly name: string }[] = []): string[] {
  return tensors.map(({ name }) => name);
}

test('a model without sequences has none', () => {
  const config = MODEL_CONFIG.parse({});
  expect(resolveSequences(resolveSignature(INFO, config), config, NO_FILES)).toBeUndefined();
});

test('states and controls are hidden from clients', async () => {
  const control_input = [START, { name: 'id', control: [{ kind: 'CONTROL_SEQUENCE_CORRID' as const }] }];
  const found = await resolve({ state: [STATE], control_input });
  expect(names(found?.client.inputs)).toEqual(['x', 'wide', 'text']);
  expect(names(found?.client.outputs)).toEqual(['y']);
  expect(found).toMatchObject({
    stateBytes: 12,
    states: [{ input: 2, outputName: 'hn', shape: [2, 1, 3], initial: new Uint8Array(12) }],
    controls: [
      {
        input: 0,
        shape: [1, 1],
        control: { kind: 'start', whenFalse: new Uint8Array(4), whenTrue: Uint8Array.of(0, 0, 0x80, 0x3f) },
      },
      { input: 3, shape: [1], control: { kind: 'correlation-id', datatype: 'UINT64' } },
    ],
  });
});

test('a state that the configuration lists as an output is shown', async () => {
  expect(
    names((await resolve({ state: [STATE] }, { output: [{ name: 'y' }, { name: 'hn' }] }))?.client.outputs),
  ).toEqual(['y', 'hn']);
});

test('without batching the dims of a state are its whole shape', async () => {
  const found = await resolve({ state: [{ ...STATE, dims: [2, 1, 3] }] }, { max_batch_size: 0 });
  expect(found?.states[0]).toMatchObject({ shape: [2, 1, 3], initial: new Uint8Array(12) });
});

describe('an initial state', () => {
  const from = (data_file: string, fields = {}): Sequences => ({
    state: [{ ...STATE, initial_state: [{ name: 'i', data_type: 'TYPE_INT16', dims: [2, 3], data_file, ...fields }] }],
  });

  test('is read from its file', async () => {
    const directory = temporaryDirectory();
    fs.mkdirSync(path.join(directory, 'initial_state'));
    fs.writeFileSync(path.join(directory, 'initial_state', 'ones'), new Uint8Array(12).fill(1));
    fs.writeFileSync(path.join(directory, 'initial_state', 'short'), new Uint8Array(11));
    expect(Buffer.from((await resolve(from('ones'), {}, directory))?.states[0]?.initial ?? []).toString('hex')).toBe(
      '01'.repeat(12),
    );
    await expect(resolve(from('short'), {}, directory)).rejects.toThrow(
      new ModelConfigError("sequence_batching.state 'h': data_file 'short' has 11 bytes, expected 12"),
    );
  });

  test.each([
    [from('gone'), 'data_file: /nowhere/initial_state/gone does not exist'],
    [from('../gone'), "data_file: 'initial_state/../gone': expected a relative path without '..' and backslashes"],
    [from('ones', { zero_data: true }), "initial_state 'i' has both zero_data and data_file"],
    [from('ones', { dims: [6] }), "initial_state 'i' is TYPE_INT16 [6], expected TYPE_INT16 [2,3]"],
  ])('is refused: %#', async (config, message) => {
    await expect(resolve(config)).rejects.toThrow(new ModelConfigError(`sequence_batching.state 'h': ${message}`));
  });
});

describe('a configuration is refused', () => {
  const control = (name: string, fields: object, kind = 'CONTROL_SEQUENCE_END'): Sequences =>
    ({ control_input: [{ name, control: [{ kind, ...fields }] }] }) as Sequences;

  test.each<[string, Sequences, string]>([
    ['of an input twice', { state: [STATE, STATE] }, "sequence_batching: input 'h' is named twice"],
    [
      'of a state whose output has another size',
      { state: [{ ...STATE, input_name: 'x', output_name: 'y', data_type: 'TYPE_FP32', dims: [4] }] },
      "output 'y': the configuration says dims [4], the model has [1]",
    ],
    [
      'of a state of another datatype',
      { state: [{ ...STATE, data_type: 'TYPE_FP32' }] },
      "input 'h': the configuration says data_type TYPE_FP32, the model has TYPE_INT16",
    ],
    [
      'of a state that is not there',
      { state: [{ ...STATE, input_name: 'g' }] },
      "input 'g' is not in the model, which has 'start', 'x', 'h', 'id', 'wide', 'text'",
    ],
    [
      'of a control that is not there',
      control('g', {}),
      "sequence_batching.control_input 'g' is not an input of the model, which has 'start', 'x', 'h', 'id', 'wide', 'text'",
    ],
    [
      'of a control of two elements',
      control('wide', { int32_false_true: [0, 1] }),
      "sequence_batching.control_input 'wide': expected an input of one element a row, the model has [-1,2]",
    ],
    [
      'of a control without values',
      control('start', {}),
      "sequence_batching.control_input 'start': expected one of int32_false_true, fp32_false_true, bool_false_true",
    ],
    [
      'of a control with values of another type',
      control('start', { int32_false_true: [0, 1] }),
      "sequence_batching.control_input 'start': the configuration says TYPE_INT32, the model has TYPE_FP32",
    ],
    [
      'of an id of another type',
      control('id', { data_type: 'TYPE_INT64' }, 'CONTROL_SEQUENCE_CORRID'),
      "sequence_batching.control_input 'id': the configuration says data_type TYPE_INT64, the model has TYPE_UINT64; expected one of TYPE_UINT64, TYPE_INT64, TYPE_UINT32, TYPE_INT32, TYPE_STRING",
    ],
    [
      'of an id with values',
      control('id', { int32_false_true: [0, 1] }, 'CONTROL_SEQUENCE_CORRID'),
      "sequence_batching.control_input 'id': a correlation id has no false and true",
    ],
  ])('%s', async (_, config, message) => {
    await expect(resolve(config)).rejects.toThrow(new ModelConfigError(message));
  });

  test('with a state of open or endless size', () => {
    const info = {
      ...INFO,
      inputs: [tensor('x', ['b', 1]), tensor('h', ['b', 'n'])],
      outputs: [tensor('y', ['b', 'n'])],
    };
    const state = { input_name: 'h', output_name: 'y', data_type: 'TYPE_FP32' as const, dims: [-1] };
    const config = MODEL_CONFIG.parse({ sequence_batching: { state: [state] } });
    expect(() => resolveSequences(resolveSignature(info, config), config, NO_FILES)).toThrow(
      new ModelConfigError(
        "sequence_batching.state 'h': expected dims of fixed sizes and a datatype of fixed size, got TYPE_FP32 [-1]: the memory of all sequences is bounded beforehand",
      ),
    );
  });

  test('that leaves clients nothing to send', () => {
    const info = { ...INFO, inputs: [tensor('h', [2, 'batch', 3], 'INT16')] };
    const config = MODEL_CONFIG.parse({ sequence_batching: { state: [STATE] } });
    expect(() => resolveSequences(resolveSignature(info, config), config, NO_FILES)).toThrow(
      new ModelConfigError('sequence_batching: no input is left that clients would send'),
    );
  });
});
