import { expect, test } from 'vitest';
import { Contender } from '../../src/compare/contender.ts';
import { checkRows } from '../../src/compare/row-check.ts';
import type { Sample } from '../../src/compare/sample.ts';
import { findTarget } from '../../src/compare/target.ts';
import { UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import { fp32 } from '../support/model-runs.ts';
import {
  batchMeanModel,
  dynamicallyQuantizedModel,
  encoderModel,
  fixedBatchModel,
  gatherModel,
  mlpModel,
  writeModel,
} from '../support/onnx-models.ts';
import { rowVerdict } from '../support/row-verdict.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

function text(length: number): Sample {
  const int64 = (at: (index: number) => number): Uint8Array => {
    return new Uint8Array(BigInt64Array.from({ length }, (_, index) => BigInt(at(index))).buffer);
  };
  const inputs = [int64((index) => 1 + ((index * 7 + length) % 90)), int64(() => 1)];
  const shapes = [
    [1, length],
    [1, length],
  ];
  return { name: `${length}`, tensors: { rows: 1, bytes: 16 * length, size: UNIT_ROW, bucket: '', inputs, shapes } };
}

test('texts of unlike length are compared with texts of their own length', async () => {
  const repository = temporaryDirectory();
  const file = writeModel(repository, 'm', 1, encoderModel());
  const target = await findTarget(repository, 'm', undefined);
  const source = { name: 'base', kind: 'base', file, files: [file], steps: [] } as const;
  await using contender = await Contender.open(source, target, {
    env: process.env,
    mailboxDirectory: temporaryDirectory(),
  });
  const verdict = await checkRows(contender, [6, 9, 14, 6, 20, 9, 31, 6].map(text));
  // Three texts have no neighbour of their length.
  expect(verdict).toMatchObject({ verdict: 'independent', rows: 5, changed: 0 });
});

test('rows of a network are independent', async () => {
  expect(await rowVerdict(mlpModel())).toMatchObject({ verdict: 'independent' });
});

test('one scale for a whole batch couples its rows, and made-up rows show it', async () => {
  expect(await rowVerdict(dynamicallyQuantizedModel())).toMatchObject({
    verdict: 'dependent',
    reason: expect.stringContaining('with the rows beside it'),
  });
});

test('real rows that influence each other are counted', async () => {
  const rows = [fp32('input', [1, 4], [1, 2, 3, 4]), fp32('input', [2, 4], [5, 5, 5, 5, 0, 0, 0, 0])];
  const coupled = await rowVerdict(batchMeanModel(), rows);
  expect(coupled).toMatchObject({ verdict: 'dependent', rows: 2 });
  expect(coupled.max).toBeGreaterThan(0);
  expect(coupled.changed).toBeGreaterThan(0);
  expect(await rowVerdict(mlpModel(), rows)).toMatchObject({ verdict: 'independent', rows: 2, changed: 0 });
});

test('a model without a batch axis has no rows to compare', async () => {
  expect(await rowVerdict(fixedBatchModel(3))).toMatchObject({
    verdict: 'unbatched',
    reason: expect.stringContaining('fixed first axis (3)'),
  });
});

test('a model that takes few values is tried with small ones', async () => {
  expect(await rowVerdict(gatherModel(5))).toMatchObject({ verdict: 'independent' });
});
