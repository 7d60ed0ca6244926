import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { holdTraffic, PublishError } from '../../src/compare/publish.ts';
import { findTarget } from '../../src/compare/target.ts';
import { readModelConfig } from '../../src/gateway/repository/config/config-file.ts';
import { offsetModel } from '../support/onnx-models.ts';
import { type ModelFiles, Repository } from '../support/repository.ts';

/** How traffic is held when version 4 comes beside versions 2 and 3. */
async function hold(files: Partial<ModelFiles> = {}) {
  const repository = new Repository({ m: { versions: { 2: offsetModel(0), 3: offsetModel(1) }, ...files } });
  onTestFinished(() => repository[Symbol.dispose]());
  return holdTraffic(await findTarget(repository.directory, 'm', undefined), '4');
}

function yaml(text: string): Partial<ModelFiles> {
  return { files: { 'config.yaml': text } };
}

/** The split of a configuration's text. */
async function splitOf(text: string, name: string): Promise<unknown> {
  const directory = fs.mkdtempSync(path.join(process.env['TMPDIR'] ?? '/tmp', 'tensorgate-config-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true }));
  const file = path.join(directory, name);
  fs.writeFileSync(file, text);
  return (await readModelConfig(file, 'm')).config.tensorgate.traffic.split;
}

describe('a version that is published takes no traffic:', () => {
  test('without a configuration one is made', async () => {
    const { write } = await hold();
    expect(path.basename(write!.file)).toBe('config.yaml');
    expect(await splitOf(write!.text, 'config.yaml')).toEqual({ 3: 100 });
  });

  test('a configuration keeps its comments and all that it says', async () => {
    const { write } = await hold(yaml('# ours\nmax_batch_size: 8 # small\ntensorgate:\n  labels: {stable: 3}\n'));
    expect(write!.text).toContain('# ours\nmax_batch_size: 8 # small\n');
    expect(write!.text).toContain('labels: { stable: 3 }');
    expect(await splitOf(write!.text, 'config.yaml')).toEqual({ 3: 100 });
  });

  test('so does one in JSON', async () => {
    const { write } = await hold({ config: { max_batch_size: 8, tensorgate: { pinned: true } } });
    expect(JSON.parse(write!.text)).toEqual({
      max_batch_size: 8,
      tensorgate: { pinned: true, traffic: { split: { 3: 100 } } },
    });
  });

  test('a split that is there already says so', async () => {
    const { write, text } = await hold(yaml('tensorgate: {traffic: {split: {2: 90, 3: 10}}}'));
    expect({ write, text }).toEqual({ write: undefined, text: 'tensorgate.traffic.split gives it no share' });
  });

  test('the version that answers today is the one below a shadow', async () => {
    const { write } = await hold(yaml('tensorgate: {traffic: {shadow: {version: 3}}}'));
    expect(await splitOf(write!.text, 'config.yaml')).toEqual({ 2: 100 });
  });

  test.each([
    [yaml('tensorgate: {traffic: {split: {3: 90, 4: 10}}}'), /split gives version 4 a share already: take it out/],
    [
      yaml('version_policy: {latest: {num_versions: 1}}'),
      /version_policy would put version 3 out, which answers today/,
    ],
    [{ files: { 'config.pbtxt': 'version_policy: { all: {} }' } }, /config\.pbtxt cannot say how traffic is split/],
    // What Triton does where nothing is said.
    [{ files: { 'config.pbtxt': 'max_batch_size: 8' } }, /version_policy would put version 3 out/],
  ])('or it is not published: %j', async (files, text) => {
    const outcome = hold(files);
    await expect(outcome).rejects.toThrow(PublishError);
    await expect(outcome).rejects.toThrow(text);
  });

  test("a configuration of Triton's that leaves it out is enough", async () => {
    const { write, text } = await hold({
      files: { 'config.pbtxt': 'version_policy: { specific: { versions: [3] } }' },
    });
    expect({ write, text }).toEqual({
      write: undefined,
      text: 'it is not loaded before version_policy in config.pbtxt names it',
    });
  });
});
