import { expect, test } from 'vitest';
import { parseModelConfig } from '../../../../src/gateway/repository/config/config-file.ts';
import { stepOf } from '../../../../src/gateway/repository/config/step-schema.ts';

const CODE = {
  platform: 'tensorgate_javascript',
  input: [{ name: 'x', data_type: 'TYPE_FP32', dims: [-1, 3] }],
  output: [{ name: 'y', data_type: 'TYPE_STRING', dims: [2] }],
};

const stepFor = (fields: object) =>
  stepOf(parseModelConfig({ text: JSON.stringify({ ...CODE, ...fields }), name: 'f', form: 'yaml' }, 'm').config);

test('a code model has the tensors that its configuration declares, as whole requests', () => {
  expect(stepFor({})).toMatchObject({
    kind: 'javascript',
    isBatched: false,
    maxHeapMb: 512,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3], axes: ['', 3] }],
    outputs: [{ name: 'y', datatype: 'BYTES', shape: [2], axes: [2] }],
  });
});

test('a code model with max_batch_size has a batch axis before the dims', () => {
  expect(stepFor({ max_batch_size: 4, parameters: { key: 'value' } })).toMatchObject({
    isBatched: true,
    inputs: [{ shape: [-1, -1, 3], axes: ['batch', '', 3] }],
    parameters: { key: 'value' },
  });
});

test.each([
  { fields: { input: [] }, text: 'the platform tensorgate_javascript needs input' },
  {
    fields: { output: [{ name: 'y', dims: [1] }] },
    text: "output 'y' of the platform tensorgate_javascript needs data_type",
  },
  { fields: { output: [{ name: 'y', data_type: 'TYPE_FP32' }] }, text: 'needs dims, without the batch axis' },
  { fields: { input: [{ name: 'x', data_type: 'TYPE_BF16', dims: [1] }] }, text: 'JavaScript has no array of BF16' },
  {
    fields: { max_batch_size: 2, model_transaction_policy: { decoupled: true } },
    text: 'a decoupled model answers one request at a time: set max_batch_size: 0',
  },
  { fields: { default_model_filename: 'main.mjs' }, text: 'default_model_filename has no meaning' },
  { fields: { sequence_batching: {} }, text: 'sequence_batching has no meaning' },
])('a configuration of a code model is refused: $text', ({ fields, text }) => {
  expect(() => stepFor(fields)).toThrow(text);
});
