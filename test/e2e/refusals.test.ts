/** What ModelInfer refuses: with the codes and the texts of Triton 2.51.0, which clients match, but where it is too lenient. */

import { describe, expect, test } from 'vitest';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { gatherModel, identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import { INFERENCE, type Message, refusalOf } from '../support/stock-client.ts';
import { A, B, BROKEN, floats, oneInstance, SERVED, sumRequest } from './protocol-requests.ts';

const fixture = useServer(
  { ...SERVED, ...BROKEN, texts: oneInstance(identityModel('BYTES')), gather: oneInstance(gatherModel(10)) },
  { flags: ['--log-level', 'silent', '--max-message-bytes', '65536'] },
);

describe('ModelInfer refuses', () => {
  const typed = { ...A, contents: { fp32_contents: [1, 2] } };

  test.each<[what: string, changes: Message, code: string, text: string]>([
    ['an unknown model', { model_name: 'nope' }, 'NOT_FOUND', "Request for unknown model: 'nope' is not found"],
    ['a request without a model', { model_name: '' }, 'NOT_FOUND', "Request for unknown model: '' is not found"],
    ['an unknown version', { model_version: '99' }, 'NOT_FOUND', "'sum' version 99 is not found"],
    ['a version with a leading zero', { model_version: '01' }, 'NOT_FOUND', "'sum' version 01 is not found"],
    [
      'a version that is no number',
      { model_version: 'x' },
      'INVALID_ARGUMENT',
      'failed to get model version from specified version string',
    ],
    [
      'a model that did not load',
      { model_name: 'broken' },
      'UNAVAILABLE',
      "model 'broken' version 1 is not at ready state",
    ],
    [
      'another datatype',
      { inputs: [{ ...A, datatype: 'INT32' }, B] },
      'INVALID_ARGUMENT',
      "inference input 'a' data-type is 'INT32', but model 'sum' expects 'FP32'",
    ],
    [
      'a datatype in lower case',
      { inputs: [{ ...A, datatype: 'fp32' }, B] },
      'INVALID_ARGUMENT',
      "inference input 'a' data-type is",
    ],
    [
      'another shape',
      { inputs: [{ ...A, shape: [1, 3] }, B] },
      'INVALID_ARGUMENT',
      "unexpected shape for input 'a' for model 'sum'. Expected [-1,2], got [1,3]",
    ],
    [
      'another rank',
      { inputs: [{ ...A, shape: [2] }, B] },
      'INVALID_ARGUMENT',
      "unexpected shape for input 'a' for model 'sum'. Expected [-1,2], got [2]",
    ],
    [
      'a scalar',
      { inputs: [A, { ...B, shape: [] }] },
      'INVALID_ARGUMENT',
      "input 'b' has no shape but model requires batch dimension for 'sum'",
    ],
    [
      'batches that differ',
      { inputs: [A, { ...B, shape: [2, 2] }] },
      'INVALID_ARGUMENT',
      "input 'b' batch size does not match other inputs for 'sum'",
    ],
    [
      'a batch that is too large',
      {
        inputs: [
          { ...A, shape: [8193, 2] },
          { ...B, shape: [8193, 2] },
        ],
        raw_input_contents: [Buffer.alloc(72), Buffer.alloc(72)],
      },
      'INVALID_ARGUMENT',
      "inference request batch-size must be <= 8192 for 'sum' (max_batch_size is 8, larger requests are split), got 8193",
    ],
    [
      'a batch of no rows',
      {
        inputs: [
          { ...A, shape: [0, 2] },
          { ...B, shape: [0, 2] },
        ],
        raw_input_contents: [Buffer.alloc(0), Buffer.alloc(0)],
      },
      'INVALID_ARGUMENT',
      "input 'a' of model 'sum' has no rows",
    ],
    [
      'an axis of -1',
      { inputs: [{ ...A, shape: [1, -1] }, B] },
      'INVALID_ARGUMENT',
      "All input dimensions should be specified for input 'a' for model 'sum', got [1,-1]",
    ],
    // Triton does not check these two as such.
    ['an axis of -2', { inputs: [{ ...A, shape: [-2, 2] }, B] }, 'INVALID_ARGUMENT', "unexpected shape for input 'a'"],
    ['an axis of 2^62', { inputs: [{ ...A, shape: ['4611686018427387904', 2] }, B] }, 'INVALID_ARGUMENT', "input 'a'"],
    [
      'too few bytes',
      { raw_input_contents: [floats(1), floats(1, 2)] },
      'INVALID_ARGUMENT',
      "input byte size mismatch for input 'a' for model 'sum'. Expected 8, got 4",
    ],
    [
      'too many bytes',
      { raw_input_contents: [floats(1, 2, 3), floats(1, 2)] },
      'INVALID_ARGUMENT',
      "input byte size mismatch for input 'a' for model 'sum'. Expected 8, got 12",
    ],
    [
      'a missing input',
      { inputs: [A], raw_input_contents: [floats(1, 2)] },
      'INVALID_ARGUMENT',
      "expected 2 inputs but got 1 inputs for model 'sum'. Got input(s) ['a'], but missing required input(s) ['b'].",
    ],
    [
      'a surplus input',
      { inputs: [A, B, { ...A, name: 'c' }], raw_input_contents: [floats(1, 2), floats(1, 2), floats(1, 2)] },
      'INVALID_ARGUMENT',
      "'c' for model 'sum'",
    ],
    [
      'an unknown input',
      { inputs: [A, { ...B, name: 'c' }] },
      'INVALID_ARGUMENT',
      "unexpected inference input 'c' for model 'sum'",
    ],
    ['an input that comes twice', { inputs: [A, A] }, 'INVALID_ARGUMENT', "input 'a' already exists in request"],
    [
      'an unknown output',
      { outputs: [{ name: 'zzz' }] },
      'INVALID_ARGUMENT',
      "unexpected inference output 'zzz' for model 'sum'",
    ],
    [
      'raw and typed contents',
      { inputs: [typed, B] },
      'INVALID_ARGUMENT',
      "contents field must not be specified when using raw_input_contents for 'a' for model 'sum'",
    ],
    [
      'too few raw entries',
      { raw_input_contents: [floats(1, 2)] },
      'INVALID_ARGUMENT',
      "unable to find data for input tensor 'b' for model 'sum' in request.",
    ],
    // Triton ignores them; KServe refuses them too.
    [
      'surplus raw entries',
      { raw_input_contents: [floats(1, 2), floats(1, 2), floats(1, 2)] },
      'INVALID_ARGUMENT',
      'does not match the expected number of raw input contents (3)',
    ],
    [
      'no contents',
      { raw_input_contents: [] },
      'INVALID_ARGUMENT',
      "unable to find data for input tensor 'a' for model 'sum' in request.",
    ],
    [
      'typed contents in the wrong field',
      { inputs: [{ ...A, contents: { int_contents: [1, 2] } }, B], raw_input_contents: [] },
      'INVALID_ARGUMENT',
      "unexpected explicit tensor data for input tensor 'a' for model 'sum' of type 'INT32', expected datatype 'FP32'",
    ],
    [
      'typed contents in two fields',
      { inputs: [{ ...A, contents: { fp32_contents: [1, 2], int_contents: [1] } }, B], raw_input_contents: [] },
      'INVALID_ARGUMENT',
      "input tensor 'a' for model 'sum' of type 'INT32'",
    ],
    [
      'too few typed elements',
      { inputs: [{ ...A, contents: { fp32_contents: [1] } }, B], raw_input_contents: [] },
      'INVALID_ARGUMENT',
      "input 'a' for model 'sum'. Expected 2, got 1",
    ],
    [
      'shared memory for an input',
      { inputs: [{ ...A, parameters: { shared_memory_region: { string_param: 'r' } } }, B] },
      'UNIMPLEMENTED',
      "'shared_memory_region' of tensor 'a': shared memory is not offered",
    ],
    [
      'shared memory for an output',
      { outputs: [{ name: 'sum', parameters: { shared_memory_region: { string_param: 'r' } } }] },
      'UNIMPLEMENTED',
      "'shared_memory_region' of tensor 'sum': shared memory is not offered",
    ],
    [
      'a reserved parameter',
      { parameters: { triton_foo: { bool_param: true } } },
      'INVALID_ARGUMENT',
      "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: triton_enable_empty_final_response",
    ],
    [
      'a timeout that is a text',
      { parameters: { timeout: { string_param: '1' } } },
      'INVALID_ARGUMENT',
      "invalid value type for 'timeout' parameter, expected int64_param.",
    ],
    [
      'a priority that is a text',
      { parameters: { priority: { string_param: '1' } } },
      'INVALID_ARGUMENT',
      "invalid value type for 'priority' parameter, expected int64_param or uint64_param.",
    ],
    [
      'a sequence_id that is a bool',
      { parameters: { sequence_id: { bool_param: true } } },
      'INVALID_ARGUMENT',
      "'sequence_id' parameter, expected int64_param or string_param.",
    ],
    [
      'a sequence_start that is a number',
      { parameters: { sequence_start: { int64_param: 1 } } },
      'INVALID_ARGUMENT',
      "'sequence_start' parameter, expected bool_param.",
    ],
  ])('%s', async (_, changes, code, text) => {
    expect(await fixture.client.refusal('ModelInfer', sumRequest(changes))).toMatchObject({
      code,
      text: expect.stringContaining(text),
    });
  });

  test('an empty message', async () => {
    expect((await fixture.client.refusal('ModelInfer')).code).toBe('NOT_FOUND');
  });

  test.each([
    ['a cut length', Buffer.from([1, 0, 0, 0, 97, 1, 0]), "input 'input' for model 'texts'"],
    // Triton hands the broken bytes to the model.
    ['a length beyond the end', Buffer.from([9, 0, 0, 0, 97, 98]), "input 'input' for model 'texts'"],
    [
      'too few elements',
      encodeBytesTensor([Buffer.from('a')]),
      "expected 4 string elements for inference input 'input' for model 'texts', got 1",
    ],
    [
      'too many elements',
      encodeBytesTensor(['a', 'b', 'c', 'd', 'e'].map((text) => Buffer.from(text))),
      "unexpected number of string elements 5 for inference input 'input' for model 'texts', expecting 4",
    ],
  ])('strings with %s', async (_, raw, text) => {
    const inputs = [{ name: 'input', datatype: 'BYTES', shape: [1, 4] }];
    const refusal = fixture.client.refusal('ModelInfer', { model_name: 'texts', inputs, raw_input_contents: [raw] });
    expect(await refusal).toMatchObject({ code: 'INVALID_ARGUMENT', text: expect.stringContaining(text) });
  });

  test('values that the model refuses, without harm to others in the batch', async () => {
    const gather = (...indices: readonly bigint[]): Promise<Message> => {
      const inputs = [{ name: 'indices', datatype: 'INT64', shape: [1, 2] }];
      return fixture.client.infer({
        model_name: 'gather',
        inputs,
        raw_input_contents: [Buffer.from(BigInt64Array.from(indices).buffer)],
      });
    };
    const [refused, ...others] = await Promise.allSettled([
      gather(0n, 10n),
      gather(0n, 1n),
      gather(2n, 3n),
      gather(4n, 5n),
    ]);
    expect(refused).toMatchObject({
      reason: { code: 3, details: expect.stringContaining('indices element out of data bounds') },
    });
    expect(others.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
  });

  test.each([
    ['garbage', Buffer.from('garbage')],
    ['a cut message', Buffer.from([0x0a, 0x05, 0x73])],
    ['wire types that do not fit', Buffer.from([0x08, 0x01])],
  ])('bytes that are no message: %s', async (_, bytes) => {
    expect((await refusalOf(fixture.client.bytes(`/${INFERENCE}/ModelInfer`, bytes))).code).toBe('INTERNAL');
  });

  test.each(['ServerLive', 'ModelReady', 'ModelMetadata', 'ModelConfig', 'ModelStatistics'])(
    'bytes that are no message of %s',
    async (rpc) => {
      const refusal = await refusalOf(fixture.client.bytes(`/${INFERENCE}/${rpc}`, Buffer.from([0x0f])));
      expect(refusal.code).toBe('INTERNAL');
    },
  );

  test('a message that is longer than the setting allows', async () => {
    const refusal = await fixture.client.refusal(
      'ModelInfer',
      sumRequest({ raw_input_contents: [Buffer.alloc(70_000), floats(1, 2)] }),
    );
    expect(refusal.code).toBe('RESOURCE_EXHAUSTED');
  });

  test('a message with more entries than any request needs', async () => {
    const inputs = Array.from({ length: 200 }, (_, index) => ({ ...A, name: `a${index}` }));
    expect(await fixture.client.refusal('ModelInfer', sumRequest({ inputs }))).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      text: expect.stringMatching(/more than \d+ inputs; the loaded models decide/),
    });
  });
});
