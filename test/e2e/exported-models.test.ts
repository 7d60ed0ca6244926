/** Models as exporters write them, through every door: the tensors of a ZipMap, and BF16. */

import { beforeAll, describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { fromBf16, toBf16 } from '../../src/wire/half-precision.ts';
import { DOORS } from '../support/caller.ts';
import { sequenceModel, zipMapModel } from '../support/exported-models.ts';
import { npz } from '../support/npz.ts';
import { identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';

const CONFIG = { instance_group: [{ count: 1, kind: 'KIND_CPU' }], tensorgate: { runner: 'exported' } };

/** Every BF16, in rows of four; of NaNs one of each sign. */
const EVERY_VALUE = Uint16Array.from({ length: 2 ** 16 }, (_, bits) =>
  (bits & 0x7f80) === 0x7f80 && (bits & 0x7f) !== 0 ? (bits & 0x8000) | 0x7fc0 : bits,
);
const CHUNK = 256;

const goldenRows = {
  description: '<V2',
  shape: [2, 4],
  data: new Uint8Array(Uint16Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer),
};

const fixture = useServer({
  classifier: { versions: { 1: zipMapModel() }, config: CONFIG },
  listed: { versions: { 1: sequenceModel() }, config: { ...CONFIG, output: [{ name: 'z' }] } },
  bf16: {
    versions: { 1: identityModel('BF16') },
    config: {
      ...CONFIG,
      input: [{ name: 'input', data_type: 'TYPE_BF16', dims: [4] }],
      max_batch_size: 64,
      model_warmup: [
        { name: 'zeros', batch_size: 2, inputs: { input: { data_type: 'TYPE_BF16', dims: [4], zero_data: true } } },
        { name: 'random', inputs: { input: { data_type: 'TYPE_BF16', dims: [4], random_data: true } } },
      ],
    },
    files: {
      '1/golden/golden.json': '{}',
      '1/golden/golden.npz': npz({ 'input.input': goldenRows, 'output.output': goldenRows }),
    },
  },
  twice: {
    versions: { 1: undefined },
    config: {
      platform: 'ensemble',
      max_batch_size: 64,
      input: [{ name: 'in', data_type: 'TYPE_BF16', dims: [4] }],
      output: [{ name: 'out', data_type: 'TYPE_BF16', dims: [4] }],
      ensemble_scheduling: {
        step: [
          { model_name: 'bf16', input_map: { input: 'in' }, output_map: { output: 'between' } },
          { model_name: 'bf16', input_map: { input: 'between' }, output_map: { output: 'out' } },
        ],
      },
    },
  },
});

let client: InferenceClient;
beforeAll(() => {
  client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  return () => client.close();
});

describe.each(DOORS)('over $name', ({ connect }) => {
  test('a classifier of skl2onnx answers its labels and its probabilities, a column for each class', async () => {
    using caller = connect(fixture.server);
    const x = tensor.fp32(new Float32Array([0.25, 0.5, 0.25, 0, 0.125, 0.875]), [2, 3]);
    const { outputs } = await caller.infer('classifier', { x });
    expect([...(outputs.get('output_label')?.data ?? [])].map(Number)).toEqual([1, 2]);
    expect(outputs.get('output_probability')).toMatchObject({ datatype: 'FP32', shape: [2, 3], data: x.data });
  });
});

const ECHOES = [
  ['bf16', 'input', 'output'],
  ['twice', 'in', 'out'],
] as const;

describe.each(DOORS.filter(({ name }) => name !== 'REST'))('every value of BF16 over $name', ({ connect }) => {
  test.each(ECHOES)('comes back bit for bit: %s', async (model, input, output) => {
    using caller = connect(fixture.server);
    for (let from = 0; from < EVERY_VALUE.length; from += CHUNK) {
      const data = EVERY_VALUE.slice(from, from + CHUNK);
      const { outputs } = await caller.infer(model, { [input]: tensor.bf16(data, [CHUNK / 4, 4]) });
      expect(outputs.get(output)).toEqual({ datatype: 'BF16', shape: [CHUNK / 4, 4], data });
    }
  });
});

test.each(ECHOES)(
  'every value of BF16 over REST, as bytes, comes back bit for bit: %s',
  async (model, input, output) => {
    for (let from = 0; from < EVERY_VALUE.length; from += CHUNK) {
      const raw = Buffer.from(EVERY_VALUE.slice(from, from + CHUNK).buffer);
      const parameters = { binary_data_size: raw.byteLength };
      const inputs = [{ name: input, datatype: 'BF16', shape: [CHUNK / 4, 4], parameters }];
      const outputs = [{ name: output, parameters: { binary_data: true } }];
      const head = Buffer.from(JSON.stringify({ inputs, outputs }));
      const response = await fetch(`${fixture.server.http}/v2/models/${model}/infer`, {
        method: 'POST',
        headers: { 'inference-header-content-length': String(head.byteLength) },
        body: Buffer.concat([head, raw]),
      });
      const answer = Buffer.from(await response.arrayBuffer());
      const headLength = Number(response.headers.get('inference-header-content-length'));
      expect(answer.subarray(headLength).toString('hex')).toBe(raw.toString('hex'));
    }
  },
);

test('BF16 values travel as numbers in JSON', async () => {
  const values = [1.5, -2, toBf16(0.1), 3e38];
  const response = await fetch(`${fixture.server.http}/v2/models/bf16/infer`, {
    method: 'POST',
    body: JSON.stringify({ inputs: [{ name: 'input', datatype: 'BF16', shape: [1, 4], data: values }] }),
  });
  const { outputs } = (await response.json()) as { outputs: { datatype: string; data: number[] }[] };
  expect(outputs).toMatchObject([{ datatype: 'BF16', data: values.map((each) => fromBf16(toBf16(each))) }]);
});

test('metadata and configuration name the datatypes that clients see', async () => {
  expect(await client.modelMetadata('bf16')).toMatchObject({
    inputs: [{ name: 'input', datatype: 'BF16', shape: [-1, 4] }],
    outputs: [{ name: 'output', datatype: 'BF16', shape: [-1, 4] }],
  });
  expect(await client.modelMetadata('classifier')).toMatchObject({
    outputs: [
      { name: 'output_label', datatype: 'INT64', shape: [-1] },
      { name: 'output_probability', datatype: 'FP32', shape: [-1, 3] },
    ],
  });
  const { config } = await fixture.client.call('ModelConfig', { name: 'bf16' });
  expect(config).toMatchObject({ max_batch_size: 64, input: [{ data_type: 'TYPE_BF16' }] });
});

test('a model with outputs that cannot be served serves those that the configuration lists', async () => {
  const x = tensor.fp32(new Float32Array([1, 2, 3]), [1, 3]);
  const { outputs } = await client.infer('listed', { x });
  expect([...outputs.keys()]).toEqual(['z']);
});
