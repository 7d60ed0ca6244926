/**
 * The protocol as clients of Triton know it, recorded of Triton 2.51.0: what the server says of itself and of its models, what
 * requests may hold, and what of them comes back.
 */

import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { decodeBytesTensor, encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { halfPrecisionModel, identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import { INFERENCE, type Message, refusalOf, rpcsOf } from '../support/stock-client.ts';
import {
  A,
  B,
  BROKEN,
  floats,
  identityRequest,
  oneInstance,
  rowsOf,
  SERVED,
  sumRequest,
  VERSIONS,
} from './protocol-requests.ts';

/** What the server says of itself. */
const { version: VERSION } = createRequire(import.meta.url)('../../package.json') as { version: string };

const fixture = useServer(
  {
    ...SERVED,
    ...BROKEN,
    versions: VERSIONS,
    texts: oneInstance(identityModel('BYTES')),
    half: oneInstance(halfPrecisionModel()),
  },
  { flags: ['--log-level', 'silent'] },
);

describe('server and models', () => {
  test('ServerLive is true, and ServerReady false while a model is not ready', async () => {
    expect(await fixture.client.call('ServerLive')).toEqual({ live: true });
    expect(await fixture.client.call('ServerReady')).toEqual({ ready: false });
  });

  test('ServerMetadata names the server and the extensions that it offers', async () => {
    expect(await fixture.client.call('ServerMetadata')).toEqual({
      name: 'tensorgate',
      version: VERSION,
      extensions: [
        'classification',
        'sequence',
        'model_repository',
        'model_repository(unload_dependents)',
        'schedule_policy',
        'model_configuration',
        'binary_tensor_data',
        'parameters',
        'statistics',
        'trace',
        'logging',
      ],
    });
  });

  test.each([
    [{ name: 'sum' }, true],
    [{ name: 'sum', version: '1' }, true],
    [{ name: 'versions', version: '3' }, true],
    // All these are OK and false, as recorded.
    [{ name: 'nope' }, false],
    [{ name: '' }, false],
    [{ name: 'sum', version: '99' }, false],
    [{ name: 'sum', version: '01' }, false],
    [{ name: 'sum', version: '0' }, false],
    [{ name: 'versions', version: '2' }, false],
    [{ name: 'versions', version: '10' }, false],
    [{ name: 'broken' }, false],
    [{ name: 'misconfigured' }, false],
  ])('ModelReady of %j is %s', async (request, ready) => {
    expect(await fixture.client.call('ModelReady', request)).toEqual({ ready });
  });

  test.each(['ModelReady', 'ModelMetadata', 'ModelConfig'])('%s refuses a version that is no number', async (rpc) => {
    for (const version of ['x', '-1', '1.5', '99999999999999999999']) {
      expect(await fixture.client.refusal(rpc, { name: 'sum', version })).toMatchObject({
        code: 'INVALID_ARGUMENT',
        text: expect.stringContaining('version should be an integral value > 0'),
      });
    }
  });

  test('ModelMetadata reports the READY versions ascending, or the one asked for', async () => {
    const tensor = { datatype: 'FP32', shape: ['-1', '4'] };
    const metadata = {
      name: 'versions',
      versions: ['1', '3'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'input', ...tensor }],
      outputs: [{ name: 'output', ...tensor }],
    };
    expect(await fixture.client.call('ModelMetadata', { name: 'versions' })).toMatchObject(metadata);
    expect(await fixture.client.call('ModelMetadata', { name: 'versions', version: '1' })).toMatchObject({
      ...metadata,
      versions: ['1'],
    });
  });

  test('ModelConfig is completed from the model', async () => {
    const { config } = await fixture.client.call('ModelConfig', { name: 'sum' });
    expect(config).toMatchObject({
      name: 'sum',
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      default_model_filename: 'model.onnx',
      max_batch_size: 8,
      input: [
        { name: 'a', data_type: 'TYPE_FP32', dims: ['2'], optional: false, is_shape_tensor: false },
        { name: 'b', data_type: 'TYPE_FP32', dims: ['2'] },
      ],
      output: [
        { name: 'sum', data_type: 'TYPE_FP32', dims: ['2'], label_filename: 'labels.txt' },
        { name: 'difference', data_type: 'TYPE_FP32', dims: ['2'] },
      ],
      instance_group: [{ name: 'sum_0', count: 1, kind: 'KIND_CPU' }],
      dynamic_batching: { preferred_batch_size: [8], max_queue_delay_microseconds: '0' },
    });
    expect(config.parameters.batching.string_value).toBe('on (axis 0, max 8 rows, delay 0 us)');
    expect(Object.keys(config.parameters)).toContain('labels.sum');
    expect(Object.keys(config.parameters)).not.toContain('labels.difference');
  });

  test('ModelConfig of a model that does not batch has whole shapes, and says why', async () => {
    const { config } = await fixture.client.call('ModelConfig', { name: 'whole' });
    expect(config).toMatchObject({ max_batch_size: 0, input: [{ dims: ['-1', '4'] }] });
    expect(config).not.toHaveProperty('dynamic_batching');
    expect(config.parameters.batching.string_value).toBe('off: the configuration says max_batch_size: 0');
  });

  test.each(['ModelMetadata', 'ModelConfig'])('%s refuses models that are missing or not ready', async (rpc) => {
    expect(await fixture.client.refusal(rpc, { name: 'nope' })).toMatchObject({
      code: 'NOT_FOUND',
      text: "Request for unknown model: 'nope' is not found",
    });
    expect(await fixture.client.refusal(rpc, { name: 'sum', version: '9' })).toMatchObject({
      code: 'NOT_FOUND',
      text: "Request for unknown model: 'sum' version 9 is not found",
    });
    expect(await fixture.client.refusal(rpc, { name: 'broken' })).toMatchObject({
      code: 'UNAVAILABLE',
      text: expect.stringContaining("model 'broken' version 1 is not at ready state: "),
    });
    expect(await fixture.client.refusal(rpc, { name: 'misconfigured' })).toMatchObject({
      code: 'UNAVAILABLE',
      text: expect.stringMatching(/max_batchsize.*max_batch_size/s),
    });
  });
});

describe('ModelInfer accepts', () => {
  test('a request without outputs, and answers all of them in the order of the model', async () => {
    const response = await fixture.client.infer(sumRequest());
    expect(response).toMatchObject({ model_name: 'sum', model_version: '1', id: '', parameters: {} });
    expect(response['outputs'].map(({ name }: Message) => name)).toEqual(['sum', 'difference']);
    expect(rowsOf(response)).toEqual({ sum: [11, 22], difference: [-9, -18] });
  });

  test('requested outputs, each once', async () => {
    const names = ['difference', 'difference'];
    const response = await fixture.client.infer(sumRequest({ outputs: names.map((name) => ({ name })) }));
    expect(rowsOf(response)).toEqual({ difference: [-9, -18] });
    const both = await fixture.client.infer(sumRequest({ outputs: [{ name: 'difference' }, { name: 'sum' }] }));
    expect(both['outputs'].map(({ name }: Message) => name)).toEqual(['sum', 'difference']);
  });

  test('inputs in any order', async () => {
    const response = await fixture.client.infer(sumRequest({ inputs: [B, A] }));
    expect(rowsOf(response)).toEqual({ sum: [11, 22], difference: [9, 18] });
  });

  test('an id, and echoes it', async () => {
    expect(await fixture.client.infer(sumRequest({ id: 'e3 \u00e9' }))).toMatchObject({ id: 'e3 \u00e9' });
  });

  test.each([
    ['', '3'],
    ['1', '1'],
    ['3', '3'],
  ])('version %j, and answers with the concrete number %s', async (asked, answered) => {
    const response = await fixture.client.infer(identityRequest('versions', { model_version: asked }));
    expect(response['model_version']).toBe(answered);
  });

  test.each<[string, Message]>([
    [
      'of its own, of every kind',
      { s: { string_param: 'x' }, i: { int64_param: -1 }, b: { bool_param: true }, d: { double_param: 0.5 } },
    ],
    ['of kind uint64, and without a kind', { u: { uint64_param: '18446744073709551615' }, none: {} }],
    ['whose names are those of JavaScript', { constructor: { int64_param: 1 }, toString: { bool_param: true } }],
    ['that ask for an empty final response', { triton_enable_empty_final_response: { bool_param: true } }],
    [
      'of sequences, which no model here has',
      { sequence_id: { int64_param: -5 }, sequence_start: { bool_param: true } },
    ],
    ['of sequences with a textual id', { sequence_id: { string_param: 'abc' }, sequence_end: { bool_param: true } }],
    ['of priority', { priority: { int64_param: 7 } }],
    ['of priority as Python sends it', { priority: { uint64_param: 1 } }],
    ['of a timeout that is long enough', { timeout: { int64_param: 30_000_000 } }],
    ['that ask for binary outputs', { binary_data_output: { bool_param: true } }],
  ])('parameters %s, and echoes none', async (_, parameters) => {
    const response = await fixture.client.infer(sumRequest({ parameters }));
    expect(response['parameters']).toEqual({});
    expect(rowsOf(response)).toMatchObject({ sum: [11, 22] });
  });

  test('unknown parameters of inputs and outputs', async () => {
    const parameters = { binary_data_size: { int64_param: 8 }, foo: { string_param: 'bar' } };
    const inputs = [{ ...A, parameters }, B];
    const response = await fixture.client.infer(sumRequest({ inputs, outputs: [{ name: 'sum', parameters }] }));
    expect(rowsOf(response)).toEqual({ sum: [11, 22] });
  });
});

describe('classification', () => {
  function classify(count: number, values: readonly number[], model = 'sum'): Promise<Message> {
    const outputs = [
      { name: model === 'sum' ? 'sum' : 'output', parameters: { classification: { int64_param: count } } },
    ];
    if (model !== 'sum')
      return fixture.client.infer(identityRequest(model, { outputs, raw_input_contents: [floats(...values)] }));
    const rows = values.length / 2;
    const inputs = [A, B].map((input) => ({ ...input, shape: [rows, 2] }));
    const raw = [floats(...values), floats(...values.map(() => 0))];
    return fixture.client.infer(sumRequest({ inputs, outputs, raw_input_contents: raw }));
  }

  function classesOf({ outputs: [{ shape }], raw_output_contents: [raw] }: Message): string[] {
    const count = shape.reduce((product: number, size: string) => product * Number(size), 1);
    return decodeBytesTensor(raw, count).map(String);
  }

  test('names the largest elements of each row, with their labels', async () => {
    const response = await classify(1, [1, 44, 3, -9]);
    expect(response['outputs']).toMatchObject([{ name: 'sum', datatype: 'BYTES', shape: ['2', '1'] }]);
    expect(classesOf(response)).toEqual(['44.000000:1:dog', '3.000000:0:cat']);
  });

  test('gives no more than there are, in descending order; ties keep the order of their indices', async () => {
    const response = await classify(9, [5, 5]);
    expect(response['outputs']).toMatchObject([{ shape: ['1', '2'] }]);
    expect(classesOf(response)).toEqual(['5.000000:0:cat', '5.000000:1:dog']);
  });

  test('without batching has no axis for rows, and without a label file no labels', async () => {
    const response = await classify(3, [0.25, -0.5, 1e9, 7], 'whole');
    expect(response['outputs']).toMatchObject([{ datatype: 'BYTES', shape: ['3'] }]);
    expect(classesOf(response)).toEqual(['1000000000.000000:2', '7.000000:3', '0.250000:0']);
  });

  test('puts NaN first, then infinity', async () => {
    expect(classesOf(await classify(2, [Number.POSITIVE_INFINITY, Number.NaN]))).toEqual(['nan:1:dog', 'inf:0:cat']);
  });

  test.each([
    [{ int64_param: 0 }, "invalid value for 'classification' parameter"],
    [{ int64_param: -1 }, "invalid value for 'classification' parameter"],
    [{ string_param: '1' }, "invalid value type for 'classification' parameter, expected int64_param"],
  ])('refuses %j', async (classification, text) => {
    const outputs = [{ name: 'sum', parameters: { classification } }];
    expect(await fixture.client.refusal('ModelInfer', sumRequest({ outputs }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      text: expect.stringContaining(text),
    });
  });

  test.each([
    ['half', 'FP16', Buffer.alloc(8)],
    // Triton's process dies of this one.
    ['texts', 'BYTES', encodeBytesTensor(['a', 'b', 'c', 'd'].map((text) => Buffer.from(text)))],
  ])('refuses an output of model %s, which is %s', async (model, datatype, raw) => {
    const refusal = await fixture.client.refusal('ModelInfer', {
      model_name: model,
      inputs: [{ name: 'input', datatype, shape: [1, 4] }],
      outputs: [{ name: 'output', parameters: { classification: { int64_param: 1 } } }],
      raw_input_contents: [raw],
    });
    expect(refusal.code).toBe('INVALID_ARGUMENT');
    expect(refusal.text).toMatch(
      new RegExp(`class result not available for output.* due to unsupported type '${datatype}'`),
    );
  });
});

describe('features that are not offered', () => {
  const registering = rpcsOf(INFERENCE).filter((rpc) => /SharedMemoryRegister$/.test(rpc));

  test.each(registering)('%s answers UNIMPLEMENTED, and says what to do instead', async (rpc) => {
    expect(await fixture.client.refusal(rpc, { name: 'r' })).toEqual({
      code: 'UNIMPLEMENTED',
      text: `${rpc}: this server takes no tensors through shared memory: send the contents in the request`,
    });
  });

  test.each([`/${INFERENCE}/Nope`, '/inference.Nope/ModelInfer', '/nope'])('%s is UNIMPLEMENTED', async (path) => {
    expect((await refusalOf(fixture.client.bytes(path, Buffer.alloc(0)))).code).toBe('UNIMPLEMENTED');
  });
});
