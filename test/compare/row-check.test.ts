import { expect, test } from 'vitest';
import { Contender } from '../../src/compare/contender.ts';
import { checkRows } from '../../src/compare/row-check.ts';
import type { Sample } from '../../src/compare/sample.ts';
import { findTarget } from '../../src/compare/target.ts';
import { UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import { encoderModel, writeModel } from '../support/onnx-models.ts';
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
  expect(verdict).toMatchObject({ verdict: 'independent', rows: 8, changed: 0 });
});
