import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { parseModelConfig } from '../../../../src/gateway/repository/config/config-file.ts';
import { MODEL_CONFIG, ModelConfigError } from '../../../../src/gateway/repository/config/model-config.ts';
import { lengthsOf, resolveSignature } from '../../../../src/gateway/repository/signature/model-signature.ts';
import { fillerOf } from '../../../../src/gateway/repository/signature/pad-value.ts';
import type { Datatype } from '../../../../src/wire/tensor.ts';
import type { SessionInfo, SessionTensor } from '../../../../src/worker/protocol.ts';

type Axes = readonly (number | string)[];

function tensor(name: string, axes: Axes, datatype: Datatype = 'INT64'): SessionTensor {
  return { name, datatype, axes, shape: axes.map((axis) => (typeof axis === 'number' ? axis : -1)) };
}

function session(...inputs: readonly SessionTensor[]): SessionInfo {
  return { inputs, outputs: [tensor('y', ['batch', 2], 'FP32')], provider: 'cpu', refusals: [] };
}

const TEXT = ['batch', 'sequence'];
const ENCODER = session(tensor('input_ids', TEXT), tensor('attention_mask', TEXT), tensor('token_type_ids', TEXT));

type Config = z.input<typeof MODEL_CONFIG>;

/** The padding, as `input: axis, first element` by name, and which input is the mask; or the reason against it; or nothing. */
function paddingOf(info: SessionInfo, config: Config = {}): object | string | undefined {
  const { batching, inputs } = resolveSignature(info, MODEL_CONFIG.parse(config));
  const lengths = lengthsOf(batching);
  if (batching.kind === 'off') throw new Error(batching.reason);
  if (lengths === undefined) return batching.padding?.kind === 'off' ? batching.padding.reason : undefined;
  const padded = [...lengths.inputs].map(([index, { axis, filler }]) => {
    return [inputs[index]?.name, [axis, ...filler.subarray(0, 2)]];
  });
  return { ...Object.fromEntries(padded), mask: inputs[lengths.mask]?.name };
}

const ZEROS = [1, 0, 0];
const FOUND = { input_ids: ZEROS, attention_mask: ZEROS, token_type_ids: ZEROS, mask: 'attention_mask' };

describe('a length axis is found', () => {
  test.each<{ name: string; info: SessionInfo; padding: object }>([
    { name: 'by one name in all inputs', info: ENCODER, padding: FOUND },
    {
      name: 'where it has no name',
      info: session(tensor('ids', ['batch', '']), tensor('input_mask:0', ['batch', ''], 'FP32')),
      padding: { ids: ZEROS, 'input_mask:0': ZEROS, mask: 'input_mask:0' },
    },
    {
      name: 'beside inputs of a fixed size',
      info: session(tensor('ids', TEXT), tensor('mask', TEXT, 'BOOL'), tensor('temperature', ['batch', 1], 'FP32')),
      padding: { ids: ZEROS, mask: 'mask' },
    },
    {
      name: 'before axes of fixed sizes',
      info: session(tensor('frames', [...TEXT, 80], 'FP32'), tensor('frame_mask', TEXT)),
      padding: { frames: ZEROS, frame_mask: ZEROS, mask: 'frame_mask' },
    },
  ])('$name', ({ info, padding }) => {
    expect(paddingOf(info)).toEqual(padding);
  });

  test.each<{ name: string; info: SessionInfo; reason: RegExp | undefined }>([
    { name: 'no axis besides the rows is open', info: session(tensor('mask', ['batch', 4])), reason: undefined },
    {
      name: 'the inputs have axes of different names',
      info: session(tensor('ids', TEXT), tensor('mask', ['batch', 'other'])),
      reason: undefined,
    },
    {
      name: 'an input has another open axis',
      info: session(tensor('ids', TEXT), tensor('mask', [...TEXT, 'sequence'])),
      reason: undefined,
    },
    {
      name: 'an image is of any size',
      info: session(tensor('image', ['batch', 3, 'height', 'width'], 'FP32'), tensor('mask', ['batch', 4])),
      reason: undefined,
    },
    {
      name: 'no input is a mask',
      info: session(tensor('ids', TEXT), tensor('masked_lm_ids', TEXT)),
      reason: /^no input is named like a mask/,
    },
    {
      name: 'an input holds texts',
      info: session(tensor('words', TEXT, 'BYTES'), tensor('mask', TEXT)),
      reason: /^input 'words' is BYTES$/,
    },
  ])('not where $name', ({ info, reason }) => {
    const padding = paddingOf(info);
    if (reason === undefined) expect(padding).toBeUndefined();
    else expect(padding).toMatch(reason);
  });

  test('not where the configuration gives the length a size', () => {
    const input = ['input_ids', 'attention_mask', 'token_type_ids'].map((name) => ({ name, dims: [128] }));
    expect(paddingOf(ENCODER, { max_batch_size: 8, input })).toBeUndefined();
  });

  test('not where requests run one by one', () => {
    expect(paddingOf(ENCODER, { max_batch_size: 1 })).toBeUndefined();
  });

  test('not where the configuration says that nothing is padded', () => {
    expect(paddingOf(ENCODER, { tensorgate: { padding: {} } })).toBe('the configuration says tensorgate.padding: {}');
  });

  test('not where a sequence would keep it', () => {
    const info: SessionInfo = {
      ...session(tensor('ids', TEXT), tensor('mask', TEXT), tensor('h', ['batch', 2], 'FP32')),
      outputs: [tensor('h_out', ['batch', 2], 'FP32')],
    };
    const state = [{ input_name: 'h', output_name: 'h_out', data_type: 'TYPE_FP32' as const, dims: [2] }];
    expect(paddingOf(info, { sequence_batching: { state } })).toBeUndefined();
  });
});

describe('a declared length axis', () => {
  test('has the declared values, and 0 for inputs whose axis has the same name', () => {
    expect(paddingOf(ENCODER, { tensorgate: { padding: { input_ids: 258, attention_mask: false } } })).toEqual({
      ...FOUND,
      input_ids: [1, 2, 1],
    });
  });

  test('needs no mask: then the first input marks the padding', () => {
    const info = session(tensor('other', ['batch', 3]), tensor('ids', TEXT));
    expect(paddingOf(info, { tensorgate: { padding: { ids: 1 } } })).toEqual({ ids: [1, 1, 0], mask: 'ids' });
  });

  test('is the axis of the same name, wherever it stands', () => {
    const info = session(tensor('ids', TEXT), tensor('features', ['batch', 'channels', 'sequence'], 'FP32'));
    expect(paddingOf(info, { tensorgate: { padding: { ids: 0, features: 0 } } })).toEqual({
      ids: ZEROS,
      features: [2, 0, 0],
      mask: 'ids',
    });
  });

  const layers = session(tensor('ids', TEXT), tensor('h', [2, 'batch', 'sequence']), tensor('rate', [1]));
  test.each<[string, SessionInfo, NonNullable<Config['tensorgate']>, string]>([
    [
      'an input that the model has not',
      ENCODER,
      { padding: { ids: 0 } },
      "tensorgate.padding: 'ids' is not an input of the model, which has 'input_ids', 'attention_mask', 'token_type_ids'",
    ],
    [
      'a value that the datatype cannot hold',
      session(tensor('ids', TEXT, 'UINT8')),
      { padding: { ids: -1 } },
      "tensorgate.padding: input 'ids' is UINT8, which cannot hold -1",
    ],
    [
      'texts',
      session(tensor('words', TEXT, 'BYTES')),
      { padding: { words: 0 } },
      "tensorgate.padding: input 'words' is BYTES: only datatypes of a fixed size are padded",
    ],
    [
      'an input without an open axis',
      session(tensor('x', ['batch', 4])),
      { padding: { x: 0 } },
      "tensorgate.padding: input 'x' has the shape [-1,4]: expected an open axis other than the batch axis",
    ],
    [
      'an input with its rows on another axis',
      layers,
      { padding: { h: 0 }, batch_axes: { rate: 'none' } },
      "tensorgate.padding: input 'h' has its rows on axis 1: only inputs with rows on axis 0 are padded",
    ],
    [
      'an input without rows',
      layers,
      { padding: { rate: 0 }, batch_axes: { rate: 'none' } },
      "tensorgate.padding: input 'rate' has one value for all rows: only inputs with rows on axis 0 are padded",
    ],
  ])('is refused for %s', (_, info, tensorgate, message) => {
    expect(() => paddingOf(info, { tensorgate })).toThrow(new ModelConfigError(message));
  });

  test.each([
    ['padding: { ids: zero }', "config.yaml:1:31: tensorgate.padding.ids: expected a number or a boolean, got 'zero'"],
    ['padding: 0', 'config.yaml:1:24: tensorgate.padding: '],
  ])('is refused by the schema, with its place: %s', (text, problem) => {
    const read = (): unknown =>
      parseModelConfig({ text: `tensorgate: { ${text} }`, name: 'config.yaml', form: 'yaml' }, 'm');
    expect(read).toThrow(problem);
  });

  test.each([
    ['sequence_batching: {}', 'padding has no meaning with sequence_batching'],
    [
      'platform: ensemble\nensemble_scheduling: { step: [{ model_name: a, input_map: {}, output_map: {} }] }',
      'padding has no meaning with ensemble',
    ],
  ])('is refused beside %s', (other, problem) => {
    const text = `tensorgate: { padding: { ids: 0 } }\n${other}`;
    expect(() => parseModelConfig({ text, name: 'c', form: 'yaml' }, 'm')).toThrow(problem);
  });
});

describe('a pad value', () => {
  const cases: readonly [Datatype, number, readonly number[] | undefined][] = [
    ['BOOL', 1, [1]],
    ['BOOL', 2, undefined],
    ['UINT8', 255, [255]],
    ['UINT8', 256, undefined],
    ['INT8', -128, [0x80]],
    ['INT16', -2, [0xfe, 0xff]],
    ['UINT16', 65_536, undefined],
    ['INT32', 258, [2, 1, 0, 0]],
    ['UINT32', -1, undefined],
    ['INT64', -1, [255, 255, 255, 255, 255, 255, 255, 255]],
    ['INT64', 0.5, undefined],
    ['UINT64', 2 ** 53, undefined],
    ['FP16', -1, [0, 0xbc]],
    ['FP16', 1e6, undefined],
    ['BF16', 1, [0x80, 0x3f]],
    ['BF16', 1e39, undefined],
    ['FP32', -10_000, [0, 0x40, 0x1c, 0xc6]],
    ['FP32', 1e39, undefined],
    ['FP64', 1, [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]],
    ['BYTES', 0, undefined],
  ];

  test.each(cases)('for %s: %d', (datatype, value, element) => {
    const filler = fillerOf(datatype, value);
    if (element === undefined) expect(filler).toBeUndefined();
    else expect([...(filler?.subarray(0, 2 * element.length) ?? [])]).toEqual([...element, ...element]);
  });

  test('that is zero is one buffer for all models', () => {
    expect(fillerOf('FP32', 0)).toBe(fillerOf('INT64', 0));
  });
});
