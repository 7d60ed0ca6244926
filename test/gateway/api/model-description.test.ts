import { expect, test } from 'vitest';
import { configOf } from '../../../src/gateway/api/model-description.ts';
import type { ModelSignature } from '../../../src/gateway/repository/signature/model-signature.ts';
import { FakeServable } from '../../support/fake-servable.ts';

function signatureOf(maxRows: number): ModelSignature {
  return {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
    outputs: [],
    batching: { kind: 'on', maxRows },
  };
}

test('the configuration of a version is described once, until its signature changes', () => {
  const model = new FakeServable('one', signatureOf(8));
  const config = configOf(model);
  expect(config).toMatchObject({ name: 'one', max_batch_size: 8, input: [{ name: 'x', dims: [4] }] });
  expect(configOf(model)).toBe(config);
  model.signature = signatureOf(16);
  expect(configOf(model)).toMatchObject({ name: 'one', max_batch_size: 16 });
});

test('versions of one signature are described each by itself', () => {
  const signature = signatureOf(8);
  const [one, other] = [new FakeServable('one', signature), new FakeServable('other', signature)];
  expect([configOf(one).name, configOf(other).name, configOf(one).name]).toEqual(['one', 'other', 'one']);
});
