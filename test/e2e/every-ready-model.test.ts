/** A model that is READY can be called: each is asked by what its own metadata says, over every door, whatever it looks like. */

import { describe, expect, test } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { decodeTensor } from '../../src/client/tensor.ts';
import type { Datatype } from '../../src/wire/tensor.ts';
import { identityModel, model, type Port, passThroughModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { useServer } from '../support/server-fixture.ts';
import { type Message, refusalOf, StockClient } from '../support/stock-client.ts';

const LONG_NAME = `features/${'embedding_'.repeat(100)}`.slice(0, 1_000);
const MAX_BYTES = 1_000_000;

function ports(count: number, datatype: Datatype = 'FP32'): Port[] {
  return Array.from({ length: count }, (_, at) => ({ name: `column_${at}`, datatype, axes: ['batch', 1] }));
}

/** Column after column side by side, as tables are exported. */
function tableModel(columns: number): Uint8Array {
  const inputs = ports(columns);
  return model({
    inputs,
    outputs: [{ name: 'y', datatype: 'FP32', axes: ['batch', columns] }],
    nodes: [
      {
        opType: 'Concat',
        input: inputs.map(({ name }) => name),
        output: ['y'],
        attribute: [{ name: 'axis', type: 2, i: 1 }],
      },
    ],
  });
}

/** Takes nothing, and always answers the same. */
function constantModel(): Uint8Array {
  return model({
    inputs: [],
    outputs: [{ name: 'y', datatype: 'FP32', axes: [2] }],
    nodes: [{ opType: 'Identity', input: ['c'], output: ['y'] }],
    initializers: [{ name: 'c', dims: [2], dataType: 1, floatData: [1, 2] }],
  });
}

const MODELS: Readonly<Record<string, Uint8Array>> = {
  'a-table-of-300-columns': tableModel(300),
  '300-outputs': passThroughModel(ports(300)),
  '1000-inputs-and-outputs': passThroughModel(ports(1_000)),
  'a-name-of-1000-bytes': passThroughModel([{ name: LONG_NAME, datatype: 'FP32', axes: ['batch', 4] }]),
  '200-names-of-500-bytes': passThroughModel(
    ports(200).map((port) => ({ ...port, name: `${port.name}${'é'.repeat(250)}` })),
  ),
  'ten-axes': identityModel('FP32', ['batch', 1, 1, 1, 1, 1, 1, 1, 1, 2]),
  '24-axes': identityModel('INT64', [...Array<number>(23).fill(1), 3]),
  'a-scalar': identityModel('FP32', []),
  'no-inputs': constantModel(),
  texts: identityModel('BYTES'),
  '100-texts': passThroughModel(ports(100, 'BYTES')),
  halves: identityModel('FP16'),
  booleans: identityModel('BOOL'),
  bytes: identityModel('UINT8'),
  longs: identityModel('UINT64'),
};

const UNCALLABLE: Readonly<Record<string, Uint8Array>> = {
  'a-large-input': passThroughModel([{ name: 'x', datatype: 'FP32', axes: ['batch', 512, 1_024] }]),
  'a-large-output': model({
    inputs: [{ name: 'x', datatype: 'FP32', axes: ['batch', 1] }],
    outputs: [{ name: 'y', datatype: 'FP32', axes: ['batch', 400_000] }],
    nodes: [{ opType: 'Expand', input: ['x', 'shape'], output: ['y'] }],
    initializers: [{ name: 'shape', dims: [2], dataType: 7, int64Data: [1, 400_000] }],
  }),
  '65-axes': identityModel('FP32', Array<number>(65).fill(1)),
};

const files = Object.fromEntries(
  Object.entries({ ...MODELS, ...UNCALLABLE }).map(([name, bytes]) => [
    name,
    { versions: { 1: bytes }, config: { instance_group: [{ count: 1 }] } },
  ]),
);

const fixture = useServer(files, {
  flags: ['--log-level', 'silent', '--strict-readiness', 'false', '--max-message-bytes', String(MAX_BYTES)],
});

interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly (number | string)[];
}

/** A size of 1 for every axis that is open. */
function shapeOf({ shape }: Tensor): number[] {
  return shape.map((size) => (Number(size) === -1 ? 1 : Number(size)));
}

function elementsOf(tensor: Tensor): number {
  return shapeOf(tensor).reduce((product, size) => product * size, 1);
}

const SIZES: Readonly<Partial<Record<Datatype, number>>> = { BOOL: 1, UINT8: 1, FP16: 2, FP32: 4, INT64: 8, UINT64: 8 };

/** Zeros, or empty texts. */
function rawOf(tensor: Tensor): Buffer {
  return Buffer.alloc(elementsOf(tensor) * (SIZES[tensor.datatype] ?? 4));
}

const TYPED: Readonly<Partial<Record<Datatype, readonly [field: string, value: unknown]>>> = {
  BOOL: ['bool_contents', false],
  UINT8: ['uint_contents', 0],
  FP32: ['fp32_contents', 0],
  INT64: ['int64_contents', '0'],
  UINT64: ['uint64_contents', '0'],
  BYTES: ['bytes_contents', Buffer.alloc(0)],
};

async function metadataOf(name: string): Promise<{ inputs: Tensor[]; outputs: Tensor[] }> {
  return (await fixture.client.call('ModelMetadata', { name })) as { inputs: Tensor[]; outputs: Tensor[] };
}

function described(tensor: Tensor): { name: string; datatype: Datatype; shape: number[] } {
  return { name: tensor.name, datatype: tensor.datatype, shape: shapeOf(tensor) };
}

describe.each(Object.keys(MODELS))('%s', (name) => {
  test('answers raw contents, with all outputs asked for by name', async () => {
    const { inputs, outputs } = await metadataOf(name);
    const answer: Message = await fixture.client.infer({
      model_name: name,
      inputs: inputs.map(described),
      outputs: outputs.map((output) => ({ name: output.name, parameters: { binary_data: { bool_param: true } } })),
      raw_input_contents: inputs.map(rawOf),
    });
    expect(answer['outputs'].map(({ name: output }: Message) => output)).toEqual(outputs.map((output) => output.name));
    expect(answer['raw_output_contents'].map((raw: Buffer) => raw.byteLength)).toEqual(
      outputs.map((output) => rawOf(output).byteLength),
    );
  });

  test('answers typed contents', async () => {
    const { inputs, outputs } = await metadataOf(name);
    if (inputs.length === 0 || inputs.some(({ datatype }) => TYPED[datatype] === undefined)) return;
    const answer: Message = await fixture.client.infer({
      model_name: name,
      inputs: inputs.map((input) => {
        const [field, value] = TYPED[input.datatype] ?? [];
        return { ...described(input), contents: { [field ?? '']: Array(elementsOf(input)).fill(value) } };
      }),
    });
    expect(answer['outputs']).toHaveLength(outputs.length);
  });

  test('answers our client', async () => {
    const { inputs, outputs } = await metadataOf(name);
    using client = new InferenceClient(fixture.server.grpc);
    const tensors = inputs.map(
      (input) => [input.name, decodeTensor(input.datatype, shapeOf(input), rawOf(input))] as const,
    );
    const result = await client.infer(name, Object.fromEntries(tensors));
    expect([...result.outputs.keys()]).toEqual(outputs.map((output) => output.name));
  });

  test('answers JSON over REST', async () => {
    const { inputs, outputs } = await metadataOf(name);
    const body = {
      inputs: inputs.map((input) => ({ ...described(input), data: jsonOf(input) })),
      outputs: outputs.map((output) => ({ name: output.name })),
    };
    const response = await fetch(urlOf(name), { method: 'POST', body: JSON.stringify(body) });
    const answer = (await response.json()) as Message;
    expect([response.status, answer['error']]).toEqual([200, undefined]);
    expect(answer['outputs'].map((output: Message) => output['name'])).toEqual(outputs.map((output) => output.name));
  });

  test('answers binary tensors over REST', async () => {
    const { inputs, outputs } = await metadataOf(name);
    const head = Buffer.from(
      JSON.stringify({
        inputs: inputs.map((input) => {
          return { ...described(input), parameters: { binary_data_size: rawOf(input).byteLength } };
        }),
        parameters: { binary_data_output: true },
      }),
    );
    const response = await fetch(urlOf(name), {
      method: 'POST',
      headers: { 'inference-header-content-length': String(head.byteLength) },
      body: Buffer.concat([head, ...inputs.map(rawOf)]),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    const size = outputs.reduce((sum, output) => sum + rawOf(output).byteLength, 0);
    expect([response.status, response.status === 200 ? '' : bytes.toString()]).toEqual([200, '']);
    expect(bytes.byteLength - Number(response.headers.get('inference-header-content-length'))).toBe(size);
  });
});

function urlOf(name: string): string {
  return `${fixture.server.http}/v2/models/${encodeURIComponent(name)}/infer`;
}

function jsonOf(tensor: Tensor): unknown[] {
  const value = tensor.datatype === 'BYTES' ? '' : tensor.datatype === 'BOOL' ? false : 0;
  return Array<unknown>(elementsOf(tensor)).fill(value);
}

test.each([
  ['a-large-input', /smallest request has 2097\d+ bytes, maxMessageBytes allows 1000000/],
  ['a-large-output', /outputs have at least 1600\d+ bytes a row, maxOutputBytes allows 1000000/],
  ['65-axes', /it has 65 axes in one tensor, at most 64 are served/],
])('the model %s, which no message could call, is not READY and says why', async (name, reason) => {
  const index = await fixture.client.call('RepositoryIndex');
  const entry = (index['models'] as Message[]).find((found) => found['name'] === name);
  expect(entry).toMatchObject({ state: 'UNAVAILABLE', reason: expect.stringMatching(reason) });
});

test('a message that holds more than any loaded model takes is refused, with what decides the limit', async () => {
  const call = fixture.client.infer({
    model_name: 'halves',
    inputs: Array.from({ length: 2_000 }, (_, at) => ({ name: `x${at}`, datatype: 'FP16', shape: [1, 4] })),
  });
  expect(await refusalOf(call)).toMatchObject({
    code: 'RESOURCE_EXHAUSTED',
    text: 'ModelInferRequest: more than 1064 inputs; the loaded models decide how much a message may hold',
  });
});

test('a model that is loaded on demand is loaded by a request that is larger than the models before it needed', async () => {
  using repository = new Repository({ table: tableModel(300), one: identityModel('FP32') });
  const flags = ['--model-control-mode', 'explicit', '--load-on-demand', 'true', '--log-level', 'error'];
  await using server = await startServer(repository.directory, { flags });
  using client = new StockClient(server.grpc);
  const inputs = Array.from({ length: 300 }, (_, at) => ({ name: `column_${at}`, datatype: 'FP32', shape: [1, 1] }));
  const contents = inputs.map(() => Buffer.alloc(4));
  const asked = (model: string): Message => ({ model_name: model, inputs, raw_input_contents: contents });
  expect(await client.refusal('ModelInfer', asked('none'))).toMatchObject({ code: 'NOT_FOUND' });
  expect((await client.infer(asked('table')))['outputs']).toHaveLength(1);
});
