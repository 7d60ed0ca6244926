import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { failureOf, startLifecycle } from '../../../support/lifecycle-fixture.ts';
import { additionModel } from '../../../support/onnx-models.ts';
import { PATIENCE_MS } from '../../../support/runners.ts';

const PATIENCE = { timeout: PATIENCE_MS };
const NO_MODEL = Buffer.from('no model');

describe('files that come with a load', () => {
  const config = '{"max_batch_size": 4}';
  const files = new Map([['7/model.onnx', additionModel(7)]]);
  const uploads = () => fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith('tensorgate-upload-'));

  // Other processes of the machine upload models too: these tests have a temporary directory of their own.
  let directory: string;
  beforeAll(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-test-'));
    vi.stubEnv('TMPDIR', directory);
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  test('are refused unless the server takes them', async () => {
    const { lifecycle } = await startLifecycle({});
    expect(await failureOf(lifecycle.load('fresh', { config, files }))).toEqual({
      reason: 'control_disabled',
      message: expect.stringContaining('--allow-model-upload'),
    });
  });

  test('are served from a private directory until they are unloaded', async () => {
    const before = uploads();
    const { lifecycle, ask, lines } = await startLifecycle({ m: additionModel(1) }, { allowsUpload: true });
    await lifecycle.load('fresh', { config, files });
    expect(await ask('fresh', 0)).toEqual({ version: '7', value: 7 });
    await lifecycle.load('m', { config, files });
    expect(await ask('m', 0)).toEqual({ version: '7', value: 7 });
    const made = uploads().filter((name) => !before.includes(name));
    expect(made).toHaveLength(2);
    for (const name of made) expect(fs.statSync(path.join(os.tmpdir(), name)).mode & 0o777).toBe(0o700);
    lifecycle.unload('fresh', { dependents: false });
    await lifecycle.load('m');
    expect(await ask('m', 0)).toEqual({ version: '1', value: 1 });
    await vi.waitUntil(() => uploads().filter((name) => !before.includes(name)).length === 0, PATIENCE);
    expect(await lines()).toContain('m 1 READY');
  });

  test('are removed where they do not load, and when the server ends', async () => {
    const before = uploads();
    const { lifecycle } = await startLifecycle({}, { allowsUpload: true });
    const bad = new Map([['1/model.onnx', NO_MODEL]]);
    expect((await failureOf(lifecycle.load('fresh', { config, files: bad }))).reason).toBe('load_failed');
    await vi.waitUntil(() => uploads().every((name) => before.includes(name)), PATIENCE);
    await lifecycle.load('fresh', { config, files });
    await lifecycle.close();
    expect(uploads()).toEqual(before);
  });

  test.each([
    'model.onnx',
    '1',
    '1/',
    '/1/model.onnx',
    '../1/model.onnx',
    '1/../model.onnx',
    '1/..',
    '1/.hidden',
    '01/model.onnx',
    'a/model.onnx',
    '1/a\\b/model\0.onnx',
    '1/a/b/c/d',
  ])('have sound names, or are refused: %j', async (name) => {
    const before = uploads();
    const { lifecycle } = await startLifecycle({}, { allowsUpload: true });
    const override = { config, files: new Map([[name, additionModel(1)]]) };
    expect(await failureOf(lifecycle.load('fresh', override))).toEqual({
      reason: 'invalid_request',
      message: expect.stringMatching(
        /^parameter 'file:…': expected <version>\/<file name>, such as 1\/model\.onnx, got "/,
      ),
    });
    expect(uploads()).toEqual(before);
  });

  test('come with a configuration, under a name that is one', async () => {
    const { lifecycle } = await startLifecycle({}, { allowsUpload: true });
    expect((await failureOf(lifecycle.load('fresh', { files }))).reason).toBe('invalid_request');
    expect((await failureOf(lifecycle.load('../fresh', { config, files }))).reason).toBe('invalid_request');
  });
});
