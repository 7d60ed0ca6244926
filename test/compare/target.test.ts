import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { defaultOf, findTarget } from '../../src/compare/target.ts';
import { MODEL_CONFIG } from '../../src/gateway/repository/config/model-config.ts';
import { offsetModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';

function find(name: string, version?: string) {
  const repository = new Repository({ m: { versions: { 2: offsetModel(0), 10: offsetModel(1) } } });
  onTestFinished(() => repository[Symbol.dispose]());
  return findTarget(repository.directory, name, version).then((target) => ({ target, repository }));
}

describe('the version that candidates are compared with', () => {
  test('is the version that serves unversioned requests, or the version that is named', async () => {
    const { target, repository } = await find('m');
    expect(target.version).toBe('10');
    expect(target.modelPath).toBe(path.join(repository.directory, 'm', '10', 'model.onnx'));
    expect((await find('m', '2')).target.version).toBe('2');
  });

  test.each([
    ['x', undefined, /there is no model 'x' in .*; known are m$/],
    ['m', '3', /model 'm' has no version 3: it has 2, 10$/],
  ])('that is missing is refused with the versions that exist: %s %s', async (name, version, text) => {
    await expect(find(name, version)).rejects.toThrow(text);
  });

  test.each([
    [{}, '10'],
    [{ shadow: { version: 10 } }, '2'],
    [{ split: { 2: 60, 10: 40 } }, '2'],
    [{ split: { 7: 100 } }, '10'],
  ])('follows the traffic of the configuration: %j', (traffic, version) => {
    expect(defaultOf(MODEL_CONFIG.parse({ tensorgate: { traffic } }), ['2', '10'])).toBe(version);
  });
});
