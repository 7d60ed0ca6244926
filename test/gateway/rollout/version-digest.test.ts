import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { digestVersion } from '../../../src/gateway/rollout/version-digest.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

test('the digest of a version changes with its model and with its external weights, and with nothing else', async () => {
  const directory = temporaryDirectory();
  const model = path.join(directory, 'model.onnx');
  fs.writeFileSync(model, 'model');
  fs.writeFileSync(path.join(directory, 'weights.bin'), 'weights');
  const digest = await digestVersion(model);
  expect(digest).toMatch(/^[0-9a-f]{64}$/);

  fs.writeFileSync(path.join(directory, 'report.json'), '{}');
  fs.mkdirSync(path.join(directory, 'golden'));
  fs.utimesSync(model, 1, 1);
  const copy = temporaryDirectory();
  fs.cpSync(directory, copy, { recursive: true });
  expect([await digestVersion(model), await digestVersion(path.join(copy, 'model.onnx'))]).toEqual([digest, digest]);

  fs.writeFileSync(path.join(directory, 'weights.bin'), 'weightz');
  const other = await digestVersion(model);
  expect(other).not.toBe(digest);
  fs.renameSync(path.join(directory, 'weights.bin'), path.join(directory, 'weightz.bin'));
  expect([digest, other]).not.toContain(await digestVersion(model));
  await expect(digestVersion(path.join(directory, 'gone/model.onnx'))).rejects.toThrow('ENOENT');
});
