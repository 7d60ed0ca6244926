import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { MODEL_CONFIG, ModelConfigError } from '../../../src/gateway/repository/config/model-config.ts';
import { readModelFiles } from '../../../src/gateway/repository/model-files.ts';
import { resolveSignature } from '../../../src/gateway/repository/signature/model-signature.ts';
import { resolveSequences } from '../../../src/gateway/repository/signature/sequence-signature.ts';
import { resolveWarmUps, type WarmUpSample } from '../../../src/gateway/repository/warm-up-sample.ts';
import { encodeBytesTensor } from '../../../src/wire/bytes-tensor.ts';
import type { Datatype } from '../../../src/wire/tensor.ts';
import type { SessionInfo, SessionTensor } from '../../../src/worker/protocol.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

type Config = z.input<typeof MODEL_CONFIG>;
type Sample = NonNullable<Config['model_warmup']>[number];
type Inputs = NonNullable<Sample['inputs']>;

function tensor(name: string, axes: readonly (number | string)[], datatype: Datatype = 'FP32'): SessionTensor {
  return { name, datatype, axes, shape: axes.map((axis) => (typeof axis === 'number' ? axis : -1)) };
}

const INFO: SessionInfo = {
  inputs: [tensor('x', ['batch', 2]), tensor('text', ['batch', 'length'], 'BYTES')],
  outputs: [tensor('y', ['batch', 1])],
  provider: 'cpu',
  refusals: [],
};

const X: Inputs[string] = { data_type: 'TYPE_FP32', dims: [2], zero_data: true };
const TEXT: Inputs[string] = { data_type: 'TYPE_STRING', dims: ['3'], random_data: true };
const INPUTS: Inputs = { x: X, text: TEXT };

/** @param files of the folder `warmup`. */
async function resolve(
  samples: readonly Sample[],
  more: Config = {},
  { info = INFO, files = {} }: { readonly info?: SessionInfo; readonly files?: Record<string, Uint8Array> } = {},
): Promise<readonly WarmUpSample[]> {
  const directory = temporaryDirectory();
  fs.mkdirSync(path.join(directory, 'warmup'));
  for (const [name, bytes] of Object.entries(files)) fs.writeFileSync(path.join(directory, 'warmup', name), bytes);
  const config = MODEL_CONFIG.parse({ ...more, model_warmup: samples });
  const signature = resolveSignature(info, config);
  const found = await readModelFiles(directory, config);
  const client = resolveSequences(signature, config, found)?.client ?? signature;
  return resolveWarmUps(signature, client, config, found);
}

describe('a sample', () => {
  test('is a row, which the model runs once, unless it says otherwise', async () => {
    const [sample] = await resolve([{ name: 'usual', inputs: INPUTS }]);
    expect(sample).toEqual({
      name: "model_warmup 'usual'",
      rows: 1,
      count: 1,
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [1, 2], data: new Uint8Array(8) },
        { name: 'text', datatype: 'BYTES', shape: [1, 3], data: 'random' },
      ],
    });
    expect((await resolve([{ batch_size: 0, count: 0, inputs: INPUTS }]))[0]).toMatchObject({ rows: 1, count: 1 });
    expect((await resolve([{ batch_size: 8, count: 3, inputs: INPUTS }]))[0]).toMatchObject({ rows: 8, count: 3 });
  });

  test('takes the bytes of a row from its file', async () => {
    const files = {
      'x 1.bin': Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      text: encodeBytesTensor([Buffer.from('a'), Buffer.from('bc')]),
    };
    const inputs: Inputs = {
      x: { data_type: 'TYPE_FP32', dims: [2], input_data_file: 'x 1.bin' },
      text: { data_type: 'TYPE_STRING', dims: [2], input_data_file: 'text' },
    };
    const data = (await resolve([{ inputs }], {}, { files }))[0]?.inputs.map((input) => Buffer.from(input.data));
    expect(data).toEqual([Buffer.from(files['x 1.bin']), Buffer.from(files.text)]);
  });

  test('has whole shapes where the model does not batch', async () => {
    const inputs: Inputs = { x: { ...X, dims: [5, 2] }, text: { ...TEXT, dims: [1, 3] } };
    const [sample] = await resolve([{ inputs }], { max_batch_size: 0 });
    expect(sample?.inputs.map(({ shape }) => shape)).toEqual([
      [5, 2],
      [1, 3],
    ]);
  });

  test('has its rows where the model has them', async () => {
    const info = { ...INFO, inputs: [tensor('x', [3, 'batch', 2])] };
    const inputs: Inputs = { x: { ...X, dims: [3, 2] } };
    const axes = { max_batch_size: 4, tensorgate: { batch_axes: { x: 1 } } };
    expect((await resolve([{ inputs }], axes, { info }))[0]?.inputs[0]).toMatchObject({ shape: [3, 1, 2] });
  });

  test('for a model with sequences may leave out the inputs of the server', async () => {
    const info = { ...INFO, inputs: [tensor('x', ['batch', 2]), tensor('start', ['batch', 1], 'INT32')] };
    const sequence_batching = {
      control_input: [
        { name: 'start', control: [{ kind: 'CONTROL_SEQUENCE_START' as const, int32_false_true: [0, 1] }] },
      ],
    };
    const start: Inputs[string] = { data_type: 'TYPE_INT32', dims: [1], random_data: true };
    const made = await resolve([{ inputs: { x: X } }, { inputs: { x: X, start } }], { sequence_batching }, { info });
    expect(made.map(({ inputs }) => inputs[1])).toEqual([
      { name: 'start', datatype: 'INT32', shape: [1, 1], data: new Uint8Array(4) },
      { name: 'start', datatype: 'INT32', shape: [1, 1], data: 'random' },
    ]);
  });
});

describe('a sample is refused', () => {
  const file = (dims: number[], name = 'f'): Inputs[string] => ({
    data_type: 'TYPE_FP32',
    dims,
    input_data_file: name,
  });
  const texts: Inputs[string] = { data_type: 'TYPE_STRING', dims: [2], input_data_file: 'f' };

  test.each<{ what: string; sample: Sample; more?: Config; problem: string }>([
    {
      what: 'with an input that the model has not',
      sample: { name: 's', inputs: { ...INPUTS, z: X } },
      problem: "model_warmup 's': input 'z' is not in the model, which has 'x', 'text'",
    },
    {
      what: 'without one of its inputs',
      sample: { inputs: { text: TEXT } },
      problem: "model_warmup 0, input 'x' is missing",
    },
    {
      what: 'with another datatype',
      sample: { inputs: { ...INPUTS, x: { ...X, data_type: 'TYPE_INT32' } } },
      problem: "model_warmup 0, input 'x': data_type is TYPE_INT32, the model has TYPE_FP32",
    },
    {
      what: 'with other sizes',
      sample: { inputs: { ...INPUTS, x: { ...X, dims: [3] } } },
      problem: "model_warmup 0, input 'x': dims are [3], the model has [2]",
    },
    {
      what: 'with the batch axis',
      sample: { inputs: { ...INPUTS, x: { ...X, dims: [1, 2] } } },
      problem: "model_warmup 0, input 'x': dims are [1,2], the model has [2]; leave the batch axis out",
    },
    {
      what: 'with more rows than a batch may have',
      sample: { batch_size: 65, inputs: INPUTS },
      problem: 'model_warmup 0: batch_size is 65, expected at most 64',
    },
    {
      what: 'with several rows for a model that does not batch',
      sample: { batch_size: 2, inputs: INPUTS },
      more: { max_batch_size: 0 },
      problem: 'model_warmup 0: batch_size is 2, the model does not batch: the configuration says max_batch_size: 0',
    },
    {
      what: 'with endless texts',
      sample: { inputs: { ...INPUTS, text: { ...TEXT, dims: [2 ** 40] } } },
      problem: `model_warmup 0, input 'text': a row of [1,${2 ** 40}] has ${2 ** 42} bytes, expected at most 268435456`,
    },
    {
      what: 'with a file that is not there',
      sample: { inputs: { ...INPUTS, x: file([2], 'none') } },
      problem: 'none does not exist',
    },
    {
      what: 'with a file of another length',
      sample: { inputs: { ...INPUTS, x: file([2]) } },
      problem: 'f has 7 bytes, expected 8 for FP32 [1,2]',
    },
    {
      what: 'with a file that holds no texts',
      sample: { inputs: { ...INPUTS, text: texts } },
      problem: 'f is no tensor of texts: ',
    },
  ])('$what', async ({ sample, more = {}, problem }) => {
    const files = { f: Uint8Array.of(3, 0, 0, 0, 1, 2, 3) };
    await expect(resolve([sample], more, { files })).rejects.toThrow(ModelConfigError);
    await expect(resolve([sample], more, { files })).rejects.toThrow(problem);
  });

  test.each([
    { what: 'NUL', text: Buffer.from('a\0') },
    { what: 'no UTF-8', text: Buffer.of(0xff) },
  ])('with a file whose texts ONNX Runtime cannot hold: $what', async ({ text }) => {
    const files = { f: encodeBytesTensor([Buffer.from('a'), text]) };
    await expect(resolve([{ inputs: { ...INPUTS, text: texts } }], {}, { files })).rejects.toThrow(
      'f has an element 1 that is not valid UTF-8 without NUL',
    );
  });
});
