/** Repositories as users of Triton have them, with `config.pbtxt`: served as they are. */

import { describe, expect, test } from 'vitest';
import { additionModel, identityModel, mlpModel, sumModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import type { Message } from '../support/stock-client.ts';

const ADD = `
name: "add"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  {
    name: "a"
    data_type: TYPE_FP32
    dims: [ 2 ]
  },
  {
    name: "b"
    data_type: TYPE_FP32
    dims: [ 2 ]
  }
]
output [
  {
    name: "sum"
    data_type: TYPE_FP32
    dims: [ 2 ]
    label_filename: "labels.txt"   # for the classification extension
  },
  {
    name: "difference"
    data_type: TYPE_FP32
    dims: [ 2 ]
  }
]
instance_group [
  {
    count: 2
    kind: KIND_CPU
  }
]
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 100
}
`;

/** Versions that add 1, 2 and 3. */
const VERSIONS = { 1: additionModel(1), 2: additionModel(2), 3: additionModel(3) };

const fixture = useServer(
  {
    add: { versions: { 1: sumModel() }, files: { 'config.pbtxt': ADD, 'labels.txt': 'left\nright\n' } },
    empty: { versions: VERSIONS, files: { 'config.pbtxt': '' } },
    some: { versions: VERSIONS, files: { 'config.pbtxt': 'version_policy: { specific: { versions: [ 1, 3 ] } }' } },
    every: { versions: VERSIONS, files: { 'config.pbtxt': 'version_policy { all { } }' } },
    partial: {
      versions: { 1: mlpModel() },
      files: { 'config.pbtxt': 'backend: "onnxruntime"\nmax_batch_size: 4\ninput { name: "input" }\n' },
    },
    whole: {
      versions: { 1: identityModel('FP32') },
      files: {
        'config.pbtxt': `
            input { name: "input" data_type: TYPE_FP32 dims: [ -1, 4 ] }
            output { name: "output" data_type: TYPE_FP32 dims: [ -1, 4 ] }`,
      },
    },
    scalars: {
      versions: { 1: identityModel('FP32', ['batch']) },
      files: {
        'config.pbtxt': `
            max_batch_size: 8
            input { name: "input" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } }
            output { name: "output" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } }`,
      },
    },
    folded: {
      versions: { 1: identityModel('FP32', ['batch', 'frames', 4]) },
      files: {
        'config.pbtxt': `
            max_batch_size: 8
            input { name: "input" data_type: TYPE_FP32 dims: [ -1, 2, 2 ] reshape { shape: [ -1, 4 ] } }
            output { name: "output" data_type: TYPE_FP32 dims: [ 1, -1, 4 ] reshape { shape: [ -1, 4 ] } }`,
      },
    },
    foldered: {
      versions: {},
      files: {
        'config.pbtxt': `\ufeffdefault_model_filename: "onnx/model.onnx"\r
            output { name: "output" label_filename: "./labels/names.txt" }\r
            instance_group { count: 0 }`,
        'labels/names.txt': '\ufeffleft\r\nmiddle\r\nright\r\n',
        '20240115120000/onnx/model.onnx': mlpModel(),
      },
    },
    noisy: {
      versions: { 1: mlpModel() },
      files: { 'config.pbtxt': 'max_batch_size: 4\nparameters { key: "owner" value { string_value: "us" } }' },
    },
    wrong: { versions: { 1: mlpModel() }, files: { 'config.pbtxt': 'max_batch_size: 4\ninput { nam: "input" }' } },
  },
  { flags: ['--log-level', 'warn'] },
);

test('what the configuration says is what clients see', async () => {
  expect((await fixture.client.call('ModelConfig', { name: 'add' }))['config']).toMatchObject({
    name: 'add',
    platform: 'onnxruntime_onnx',
    max_batch_size: 8,
    input: [
      { name: 'a', data_type: 'TYPE_FP32', dims: ['2'] },
      { name: 'b', data_type: 'TYPE_FP32', dims: ['2'] },
    ],
    instance_group: [{ count: 2, kind: 'KIND_CPU' }],
    dynamic_batching: { preferred_batch_size: [4, 8], max_queue_delay_microseconds: '100' },
    version_policy: { latest: { num_versions: 1 } },
  });
});

test('requests are answered, with labels where they are asked for', async () => {
  const input = (name: string, values: readonly number[]): Message => ({
    name,
    datatype: 'FP32',
    shape: [2, 2],
    contents: { fp32_contents: values },
  });
  const request = { model_name: 'add', inputs: [input('a', [1, 2, 3, 4]), input('b', [10, 20, 40, 30])] };
  const { outputs } = await fixture.client.infer(request);
  const sum = outputs.find(({ name }: Message) => name === 'sum');
  expect(sum).toMatchObject({ shape: ['2', '2'], contents: { fp32_contents: [11, 22, 43, 34] } });
  const classified = await fixture.client.infer({
    ...request,
    outputs: [{ name: 'sum', parameters: { classification: { int64_param: '1' } } }],
  });
  const [{ shape, contents }] = classified['outputs'];
  expect(shape).toEqual(['2', '1']);
  expect(contents['bytes_contents'].map(String)).toEqual([
    expect.stringMatching(/:1:right$/),
    expect.stringMatching(/:0:left$/),
  ]);
});

test.each([
  { model: 'empty', versions: ['3'] },
  { model: 'some', versions: ['1', '3'] },
  { model: 'every', versions: ['1', '2', '3'] },
])("the versions of '$model' are $versions, the latest where nothing is said", async ({ model, versions }) => {
  expect((await fixture.client.call('ModelMetadata', { name: model }))['versions']).toEqual(versions);
});

test('fields that are left out are read from the ONNX file', async () => {
  const { config } = await fixture.client.call('ModelConfig', { name: 'partial' });
  expect(config).toMatchObject({
    max_batch_size: 4,
    input: [{ name: 'input', data_type: 'TYPE_FP32', dims: ['4'] }],
    output: [{ name: 'output', data_type: 'TYPE_FP32', dims: ['3'] }],
  });
});

test('files in folders, byte order marks, a version of 14 digits and a count of 0 are as in Triton', async () => {
  const { config } = await fixture.client.call('ModelConfig', { name: 'foldered' });
  expect(config).toMatchObject({ default_model_filename: 'onnx/model.onnx', instance_group: [{ kind: 'KIND_CPU' }] });
  const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 4], contents: { fp32_contents: [1, 2, 3, 4] } }];
  const outputs = [{ name: 'output', parameters: { classification: { int64_param: '3' } } }];
  const answer = await fixture.client.infer({ model_name: 'foldered', inputs, outputs });
  expect(answer['model_version']).toBe('20240115120000');
  const labels = answer['outputs'][0].contents.bytes_contents.map((text: Buffer) => String(text).split(':').at(-1));
  expect(labels.sort()).toEqual(['left', 'middle', 'right']);
});

test('whole shapes without max_batch_size are no batching', async () => {
  const { config } = await fixture.client.call('ModelConfig', { name: 'whole' });
  expect(config).toMatchObject({ max_batch_size: 0, input: [{ dims: ['-1', '4'] }] });
  const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 4], contents: { fp32_contents: [1, 2, 3, 4] } }];
  const { outputs } = await fixture.client.infer({ model_name: 'whole', inputs });
  expect(outputs[0]).toMatchObject({ shape: ['1', '4'], contents: { fp32_contents: [1, 2, 3, 4] } });
});

describe('a reshaped tensor', () => {
  test('with open sizes keeps them, in batches of equal and of unlike sizes', async () => {
    expect((await fixture.client.call('ModelMetadata', { name: 'folded' }))['inputs']).toEqual([
      { name: 'input', datatype: 'FP32', shape: ['-1', '-1', '2', '2'] },
    ]);
    const request = (rows: number, frames: number, first: number): Message => {
      const elements = rows * frames * 4;
      const values = Array.from({ length: elements }, (_, index) => first + index);
      return {
        model_name: 'folded',
        inputs: [{ name: 'input', datatype: 'FP32', shape: [rows, frames, 2, 2], contents: { fp32_contents: values } }],
      };
    };
    const sizes = [
      [1, 3],
      [2, 3],
      [1, 1],
      [1, 3],
      [3, 2],
    ] as const;
    const answers = await Promise.all(
      sizes.map(([rows, frames], index) => fixture.client.infer(request(rows, frames, 1_000 * index))),
    );
    for (const [index, { outputs }] of answers.entries()) {
      const [rows, frames] = sizes[index] ?? [0, 0];
      const [{ shape, contents }] = outputs;
      expect(shape.map(Number)).toEqual([rows, 1, frames, 4]);
      expect(contents.fp32_contents).toEqual(request(rows, frames, 1_000 * index)['inputs'][0].contents.fp32_contents);
    }
  });

  test('has the shape of dims for clients, also when requests share a batch', async () => {
    expect((await fixture.client.call('ModelMetadata', { name: 'scalars' }))['inputs']).toEqual([
      { name: 'input', datatype: 'FP32', shape: ['-1', '1'] },
    ]);
    const answers = await Promise.all(
      [[1], [2, 3], [4], [5, 6, 7]].map((values) =>
        fixture.client.infer({
          model_name: 'scalars',
          inputs: [{ name: 'input', datatype: 'FP32', shape: [values.length, 1], contents: { fp32_contents: values } }],
        }),
      ),
    );
    expect(answers.map(({ outputs: [output] }) => [output.shape, output.contents.fp32_contents])).toEqual([
      [['1', '1'], [1]],
      [
        ['2', '1'],
        [2, 3],
      ],
      [['1', '1'], [4]],
      [
        ['3', '1'],
        [5, 6, 7],
      ],
    ]);
  });

  test('is refused if its shape is the shape of the model', async () => {
    const inputs = [{ name: 'input', datatype: 'FP32', shape: [1], contents: { fp32_contents: [1] } }];
    expect(await fixture.client.refusal('ModelInfer', { model_name: 'scalars', inputs })).toMatchObject({
      code: 'INVALID_ARGUMENT',
      text: expect.stringContaining("unexpected shape for input 'input' for model 'scalars'. Expected [-1,1], got [1]"),
    });
  });
});

test('a wrong configuration keeps only its own model from being served, and says where', async () => {
  const { models } = await fixture.client.call('RepositoryIndex');
  const wrong = models.find(({ name }: Message) => name === 'wrong');
  expect(wrong?.reason).toMatch(/config\.pbtxt:2:9: nam: there is no such field; did you mean 'name'\?$/);
  expect(await fixture.client.call('ModelReady', { name: 'add' })).toEqual({ ready: true });
});

test('ignored settings are in the log, and an ignored parameter in ModelConfig', async () => {
  const { config } = await fixture.client.call('ModelConfig', { name: 'noisy' });
  expect(config.parameters['owner']).toEqual({ string_value: 'us' });
  await fixture.server.stop();
  expect(await fixture.server.log).toMatch(/model 'noisy': [^"]*config\.pbtxt:2:\d+: parameters\.owner has no effect/);
});
