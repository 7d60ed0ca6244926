import { expect, test } from 'vitest';
import { decodeOnnxModel } from '../../src/compress/onnx/model-file.ts';
import { verifyRows } from '../../src/compress/row-independence.ts';
import { fp32, RUNNER } from '../support/model-runs.ts';
import {
  batchMeanModel,
  dynamicallyQuantizedModel,
  fixedBatchModel,
  gatherModel,
  mlpModel,
} from '../support/onnx-models.ts';

const verdict = (bytes: Uint8Array, ...samples: Parameters<typeof verifyRows>[2] & object) =>
  verifyRows(decodeOnnxModel(bytes, 'test'), RUNNER, samples);

test('rows of a network are independent', async () => {
  expect(await verdict(mlpModel())).toEqual({ kind: 'independent' });
});

test('one scale for a whole batch couples its rows, and made-up rows show it', async () => {
  expect(await verdict(dynamicallyQuantizedModel())).toMatchObject({
    kind: 'dependent',
    reason: expect.stringContaining('with the rows beside it'),
  });
});

test('real rows are compared before made-up ones', async () => {
  const rows = [fp32('input', [1, 4], [1, 2, 3, 4]), fp32('input', [2, 4], [5, 5, 5, 5, 0, 0, 0, 0])];
  expect(await verdict(batchMeanModel(), ...rows)).toMatchObject({ kind: 'dependent' });
  expect(await verdict(mlpModel(), ...rows)).toEqual({ kind: 'independent' });
});

test('a model without a batch axis has no rows', async () => {
  expect(await verdict(fixedBatchModel(3))).toMatchObject({
    kind: 'unbatched',
    reason: expect.stringContaining('fixed first axis (3)'),
  });
});

test('a model that takes few values is tried with small ones', async () => {
  expect(await verdict(gatherModel(5))).toEqual({ kind: 'independent' });
});
