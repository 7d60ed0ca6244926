import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readExternalLocations } from '../../../src/gateway/repository/external-data.ts';
import { isModelName, listNames, RepositoryError } from '../../../src/gateway/repository/model-repository.ts';
import { openRepository } from '../../../src/gateway/repository/opened-repository.ts';
import { mlpModel, withExternalData } from '../../support/onnx-models.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const MODEL = Buffer.from(mlpModel());

/** A folder with these files, by path; a folder where the path ends in `/`. */
function folderOf(files: readonly string[], root = temporaryDirectory()): string {
  for (const name of files) {
    const file = path.join(root, name);
    fs.mkdirSync(name.endsWith('/') ? file : path.dirname(file), { recursive: true });
    if (!name.endsWith('/')) fs.writeFileSync(file, name.endsWith('.onnx') ? MODEL : '{}');
  }
  return root;
}

/** The models served for a path: the file of version 1, by model name. A repository serves itself. */
async function servedFrom(what: string): Promise<string | Readonly<Record<string, string>>> {
  const repository = await openRepository(what);
  onTestFinished(() => repository.close());
  if (repository.directory === path.resolve(what)) return 'the repository itself';
  const { models } = await listNames(repository.directory);
  const fileOf = (name: string): string => fs.realpathSync(path.join(repository.directory, name, '1', 'model.onnx'));
  return Object.fromEntries(models.map((name) => [name, path.relative(what, fileOf(name))]));
}

describe('a folder', () => {
  test.each<{ what: string; files: string[]; served: string }>([
    { what: 'of one file with any name', files: ['resnet50-v2.onnx', 'README.md'], served: 'resnet50-v2.onnx' },
    { what: 'of MLflow', files: ['MLmodel', 'model.onnx', 'conda.yaml', 'requirements.txt'], served: 'model.onnx' },
    {
      what: 'of Optimum, with variants beside the model',
      files: ['config.json', 'tokenizer.json', 'model.onnx', 'model_quantized.onnx'],
      served: 'model.onnx',
    },
    {
      what: 'of Hugging Face, with the models in onnx/',
      files: ['config.json', 'onnx/model.onnx', 'onnx/model_fp16.onnx', '1_Pooling/config.json'],
      served: 'onnx/model.onnx',
    },
    { what: 'with one file in onnx/', files: ['config.json', 'onnx/encoder.onnx'], served: 'onnx/encoder.onnx' },
  ])('$what is one model with the name of the folder', async ({ files, served }) => {
    const folder = folderOf(files, path.join(temporaryDirectory(), 'my-model'));
    expect(await servedFrom(folder)).toEqual({ 'my-model': served });
  });

  test.each([
    { what: 'of models', files: ['a/1/model.onnx', 'b/2/model.onnx'] },
    { what: 'of models, with a file beside them', files: ['a/1/model.onnx', 'loose.onnx'] },
    { what: 'of models under names of exports', files: ['onnx/1/model.onnx'] },
    { what: 'that is empty', files: [] },
    { what: 'of ensembles', files: ['a/1/', 'a/config.pbtxt'] },
  ])('$what is a repository itself', async ({ files }) => {
    expect(await servedFrom(folderOf(files))).toBe('the repository itself');
  });

  test('with several models and no main one is refused with a command that serves one of them', async () => {
    const folder = folderOf(['decoder_model.onnx', 'encoder_model.onnx']);
    const command = `npx tensorgate serve ${folder}/decoder_model.onnx`;
    await expect(openRepository(folder)).rejects.toThrow(
      `holds 2 ONNX files and no model.onnx: choose one, such as ${command}`,
    );
  });

  test('with a configuration of Triton beside its model is refused with the commands that move it', async () => {
    const folder = folderOf(['config.pbtxt', 'resnet.onnx']);
    await expect(openRepository(folder)).rejects.toThrow(
      `run mkdir ${folder}/1 && mv ${folder}/resnet.onnx ${folder}/1/model.onnx, and serve the parent directory: npx tensorgate serve ${path.dirname(folder)}`,
    );
  });

  test('in the cache of Hugging Face has the name of its repository, not of its commit', async () => {
    const cache = temporaryDirectory();
    const snapshot = path.join(cache, 'models--acme--mini-lm/snapshots/1a2b3c');
    folderOf(['onnx/model.onnx'], snapshot);
    expect(await servedFrom(snapshot)).toEqual({ 'mini-lm': 'onnx/model.onnx' });
  });
});

describe('a file', () => {
  test('is a model with the name of the file', async () => {
    const folder = folderOf(['détection v2.onnx', 'other.onnx']);
    expect(await servedFrom(path.join(folder, 'détection v2.onnx'))).toEqual({ 'd-tection-v2': '' });
  });

  test('has a legal name whatever the file is called, and the same one each time', async () => {
    const folder = temporaryDirectory();
    const fileName = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
      .filter((text) => !/[/\0]|^\.{0,2}$/u.test(text));
    await fc.assert(
      fc.asyncProperty(fileName, async (name) => {
        const file = path.join(folder, `${name}.onnx`);
        fs.writeFileSync(file, '');
        const namesOf = async (): Promise<readonly string[]> => {
          const repository = await openRepository(file);
          const { models } = await listNames(repository.directory);
          await repository.close();
          return models;
        };
        const names = await namesOf();
        expect(names).toHaveLength(1);
        expect(names.every(isModelName)).toBe(true);
        expect(await namesOf()).toEqual(names);
      }),
      { numRuns: 50 },
    );
  });

  test('that does not exist is refused with what may be given', async () => {
    const problem = await openRepository('/nowhere/model.onnx').catch((error: unknown) => error);
    expect(problem).toBeInstanceOf(RepositoryError);
    expect(String(problem)).toContain(
      "'/nowhere/model.onnx' does not exist: give an ONNX file, a folder with one model, or",
    );
  });

  test('keeps its weights beside it by links, and nothing is copied or left behind', async () => {
    const folder = temporaryDirectory();
    fs.writeFileSync(path.join(folder, 'net.onnx'), withExternalData(mlpModel(), 'W1', 'weights/net.bin'));
    const repository = await openRepository(path.join(folder, 'net.onnx'));
    const version = path.join(repository.directory, 'net', '1');
    const links = fs.readdirSync(version).map((name) => [name, fs.readlinkSync(path.join(version, name))]);
    expect(links).toEqual([
      ['model.onnx', path.join(folder, 'net.onnx')],
      ['weights', path.join(folder, 'weights')],
    ]);
    await repository.close();
    expect(fs.existsSync(repository.directory)).toBe(false);
    expect(fs.existsSync(path.join(folder, 'net.onnx'))).toBe(true);
  });

  test('that is cut off has the locations that can be read, and does not fail', async () => {
    const file = path.join(temporaryDirectory(), 'net.onnx');
    const whole = Buffer.from(withExternalData(mlpModel(), 'W1', 'net.bin'));
    fs.writeFileSync(file, whole);
    expect(await readExternalLocations(file)).toEqual(new Set(['net.bin']));
    for (let length = 0; length < whole.byteLength; length += 37) {
      fs.writeFileSync(file, whole.subarray(0, length));
      await expect(readExternalLocations(file)).resolves.toBeDefined();
    }
  });
});
