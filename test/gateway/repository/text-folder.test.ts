import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseModelConfig } from '../../../src/gateway/repository/config/config-file.ts';
import { readExportedFolder } from '../../../src/gateway/repository/exported-folder.ts';
import { fingerprintModel, fingerprintVersion } from '../../../src/gateway/repository/fingerprint.ts';
import { listNames, readModel } from '../../../src/gateway/repository/model-repository.ts';
import { openRepository } from '../../../src/gateway/repository/opened-repository.ts';
import { nameOfPart } from '../../../src/gateway/repository/part-name.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { type Files, sentenceEncoder, textClassifier, writeFiles } from '../../support/text-exports.ts';

function folderOf(files: Files, name = 'm'): string {
  const folder = path.join(temporaryDirectory(), name);
  writeFiles(folder, files);
  return folder;
}

async function configsOf(files: Files): Promise<Record<string, unknown>> {
  const read = await readExportedFolder(folderOf(files), 'm');
  return Object.fromEntries([...(read?.configs ?? [])].map(([part, text]) => [part, JSON.parse(text)]));
}

const without = (files: Files, ...names: string[]): Files =>
  Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)));

describe('the parts of a folder', () => {
  test('are, for sentence-transformers, a tokenizer, the model and its pooling', async () => {
    expect(await configsOf(sentenceEncoder())).toMatchObject({
      model: { default_model_filename: 'onnx/model.onnx' },
      detokenizer: {
        platform: 'tensorgate_tokenizer',
        tensorgate: { runner: 'm.tokenizer', tokenizer: { decode: true } },
      },
      tokenizer: {
        platform: 'tensorgate_tokenizer',
        tensorgate: { runner: 'm.tokenizer' },
        output: [{ name: 'input_ids' }, { name: 'attention_mask' }],
      },
      pooling: { tensorgate: { pooling: { mode: 'mean', normalize: true, width: 16 } } },
      '': {
        input: [{ name: 'text', data_type: 'TYPE_STRING', dims: [] }],
        output: [{ name: 'sentence_embedding', dims: [16] }],
        ensemble_scheduling: {
          step: [{ model_name: 'm:tokenizer' }, { model_name: 'm:model' }, { model_name: 'm:pooling' }],
        },
      },
    });
  });

  test.each([
    ['cls', { pooling_mode_mean_tokens: false, pooling_mode_cls_token: true }],
    ['last', { pooling_mode_lasttoken: true }],
    ['max', { pooling_mode: 'max' }],
  ])('pool by %s where the files say so', async (mode, pooling) => {
    const { pooling: part } = await configsOf(sentenceEncoder(pooling));
    expect(part).toMatchObject({ tensorgate: { pooling: { mode } } });
  });

  test('without files of sentence-transformers pool by the mean', async () => {
    const { pooling } = await configsOf(without(sentenceEncoder(), 'modules.json', '1_Pooling/config.json'));
    expect(pooling).toMatchObject({ tensorgate: { pooling: { mode: 'mean', normalize: true, width: 16 } } });
  });

  test('do not scale vectors where modules.json does not', async () => {
    const modules = [{ type: 'sentence_transformers.models.Pooling', path: '1_Pooling' }];
    const { pooling } = await configsOf({ ...sentenceEncoder(), 'modules.json': modules });
    expect(pooling).toMatchObject({ tensorgate: { pooling: { normalize: false } } });
  });

  test.each([
    ['softmax', {}],
    ['sigmoid', { problem_type: 'multi_label_classification' }],
  ])('are, for a classifier, labels by %s', async (name, config) => {
    const { labels } = await configsOf(textClassifier(2, config));
    expect(labels).toMatchObject({ tensorgate: { classes: { function: name, labels: ['ids', 'marks'] } } });
  });

  test('share a runner for both directions of the tokenizer, also where the folder has a long name', async () => {
    const name = 'm'.repeat(100);
    const read = await readExportedFolder(folderOf(sentenceEncoder(), name), name);
    const runners = ['tokenizer', 'detokenizer'].map((part) => {
      const { config } = parseModelConfig(
        { text: read?.configs.get(part) ?? '', name: 'config.json', form: 'yaml' },
        nameOfPart(name, part),
      );
      return config.tensorgate.runner;
    });
    expect(runners).toEqual([runners[0], expect.stringMatching(/^tokenizer-[0-9a-f]{16}$/)]);
  });

  test('take pairs for a reranker', async () => {
    expect(await configsOf(textClassifier(1))).toMatchObject({
      tokenizer: { tensorgate: { tokenizer: { pair: true } } },
      '': { input: [{ name: 'text' }, { name: 'text_pair' }], output: [{ name: 'score', dims: [1] }] },
    });
  });

  test('pad with the id that the model has for it', async () => {
    const { model } = await configsOf({
      ...textClassifier(2),
      'config.json': { ...textClassifier(2)['config.json'], pad_token_id: 1 },
    });
    expect(model).toMatchObject({ tensorgate: { padding: { input_ids: 1, attention_mask: 0 } } });
  });
});

describe('a folder without an ensemble says why', () => {
  test.each<[string, Files, string]>([
    [
      'several pooling modes',
      sentenceEncoder({ pooling_mode_mean_tokens: true, pooling_mode_max_tokens: true }),
      'expected one of mean, cls, last and max tokens',
    ],
    [
      'another head',
      { ...textClassifier(2), 'config.json': { architectures: ['BertForTokenClassification'] } },
      'config.json says BertForTokenClassification',
    ],
    ['a file that is no JSON', { ...sentenceEncoder(), 'modules.json': Buffer.from('[') }, 'modules.json: '],
    [
      'several ONNX files',
      { ...without(sentenceEncoder(), 'onnx/model.onnx'), 'a.onnx': new Uint8Array(9), 'b.onnx': new Uint8Array(9) },
      'holds 2 ONNX files and no model.onnx',
    ],
  ])('for %s', async (_name, files, text) => {
    const read = await readExportedFolder(folderOf(files), 'm');
    expect(read?.problem).toContain(text);
    expect(read?.configs.has('')).toBe(false);
  });
});

describe('a folder of something else', () => {
  test.each<[string, Files]>([
    ['without a tokenizer', without(sentenceEncoder(), 'tokenizer.json')],
    ['without an ONNX file', without(sentenceEncoder(), 'onnx/model.onnx')],
    ['with versions', { ...sentenceEncoder(), '1/model.onnx': new Uint8Array(1) }],
    ['with a configuration of Triton', { ...sentenceEncoder(), 'config.pbtxt': new Uint8Array(1) }],
  ])('%s is no text folder', async (_name, files) => {
    expect(await readExportedFolder(folderOf(files), 'm')).toBeUndefined();
  });
});

describe('in a repository', () => {
  test('the parts are models beside the folder', async () => {
    const repository = path.dirname(folderOf(sentenceEncoder()));
    expect((await listNames(repository)).models).toEqual(['m', 'm:detokenizer', 'm:model', 'm:pooling', 'm:tokenizer']);
    const part = await readModel(repository, 'm:model');
    expect(part).toMatchObject({
      name: 'm:model',
      directory: path.join(repository, 'm'),
      versions: ['1'],
      problem: undefined,
    });
    expect((await readModel(repository, 'm:labels')).problem).toBe("'m' has no part 'labels'");
  });

  test('a change of any file changes the fingerprint', async () => {
    const folder = folderOf(sentenceEncoder());
    const before = await fingerprintModel(folder);
    expect([...before.keys()]).toEqual(['1']);
    expect(await fingerprintVersion(folder, '1')).toBe(before.get('1'));
    writeFiles(folder, { '1_Pooling/config.json': { pooling_mode_cls_token: true } });
    expect(await fingerprintModel(folder)).not.toEqual(before);
  });

  test('a folder by itself is served under its name', async () => {
    const repository = await openRepository(folderOf(sentenceEncoder(), 'all-MiniLM'));
    expect((await listNames(repository.directory)).models).toContain('all-MiniLM:tokenizer');
    await repository.close();
  });
});
