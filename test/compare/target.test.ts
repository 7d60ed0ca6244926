import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { defaultOf, findTarget, requireVersions } from '../../src/compare/target.ts';
import { MODEL_CONFIG } from '../../src/gateway/repository/config/model-config.ts';
import { offsetModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { type Files, sentenceEncoder, textClassifier, tokenizerFiles, writeFiles } from '../support/text-exports.ts';

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

describe('a folder of Hugging Face', () => {
  function folder(files: Files): string {
    const directory = temporaryDirectory();
    writeFiles(path.join(directory, 'm'), files);
    return directory;
  }

  test.each(['m', 'm:model'])('is found as %s, with its tokenizer and its pooling', async (name) => {
    const directory = folder(sentenceEncoder());
    const target = await findTarget(directory, name, undefined);
    expect(target.modelPath).toBe(path.join(directory, 'm/onnx/model.onnx'));
    expect(target.text).toMatchObject({
      tokenizer: { directory: path.join(directory, 'm'), options: { kind: 'tokenizer', pair: false } },
      vector: { name: 'last_hidden_state', pooling: { mode: 'mean', width: 16 } },
    });
    expect(() => requireVersions(target)).toThrow('where no version can be added');
  });

  test('gives the names of the classes where it is a classifier', async () => {
    const { text } = await findTarget(folder(textClassifier(2)), 'm', undefined);
    expect(text).toMatchObject({ labels: ['ids', 'marks'] });
    expect(text?.vector).toBeUndefined();
  });

  test('has its tokenizer where there is no chain from text', async () => {
    const files = { ...sentenceEncoder(), 'modules.json': [{ type: 'sentence_transformers.models.Dense', path: '' }] };
    const { text } = await findTarget(folder(files), 'm', undefined);
    expect(text?.tokenizer.options.kind).toBe('tokenizer');
    expect(text?.vector).toBeUndefined();
  });

  test('is not needed: a tokenizer may lie beside the ONNX file of a version', async () => {
    const directory = temporaryDirectory();
    writeFiles(path.join(directory, 'm/1'), { ...tokenizerFiles(), 'model.onnx': offsetModel(0) });
    const target = await findTarget(directory, 'm', undefined);
    expect(target.text?.tokenizer.directory).toBe(path.join(directory, 'm/1'));
    expect(() => requireVersions(target)).not.toThrow();
  });
});
