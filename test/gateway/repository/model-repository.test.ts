import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  listNames,
  type ModelFolder,
  RepositoryError,
  scanRepository,
} from '../../../src/gateway/repository/model-repository.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { withoutRoot } from '../../support/without-root.ts';

/** A repository with these files; a path that ends with `/` is an empty directory. */
function repositoryOf(...paths: string[]): string {
  const root = temporaryDirectory();
  for (const one of paths) {
    const full = path.join(root, one);
    fs.mkdirSync(one.endsWith('/') ? full : path.dirname(full), { recursive: true });
    if (!one.endsWith('/')) fs.writeFileSync(full, '');
  }
  return root;
}

async function scanned(...paths: string[]): Promise<ModelFolder[]> {
  return scanRepository(repositoryOf(...paths));
}

describe('the repository', () => {
  test('that does not exist is an error that says what to give', async () => {
    await expect(scanRepository('/nowhere/models')).rejects.toThrow(
      new RepositoryError(
        "the model repository '/nowhere/models' does not exist: give a directory that holds <model>/<version>/model.onnx with --model-repository",
      ),
    );
  });

  test('that is a file is an error, too', async () => {
    const file = path.join(temporaryDirectory(), 'models');
    fs.writeFileSync(file, '');
    await expect(scanRepository(file)).rejects.toThrow(RepositoryError);
    await expect(scanRepository(file)).rejects.toThrow(
      'is a file, not a repository of models: run npx tensorgate serve',
    );
  });

  test('that is empty has no models', async () => {
    expect(await scanned()).toEqual([]);
  });

  test('lists its models by name; files and what begins with a dot are none', async () => {
    const folders = await scanned('b/1/', 'a/1/', 'README.md', '.git/1/', 'Z/1/', '.cache');
    expect(folders.map(({ name }) => name)).toEqual(['Z', 'a', 'b']);
    expect(folders.map(({ problem }) => problem)).toEqual([undefined, undefined, undefined]);
  });

  test('a link to a directory is a model like any other; one that leads nowhere is none', async () => {
    const root = repositoryOf('real/1/');
    fs.symlinkSync(path.join(root, 'real'), path.join(root, 'linked'));
    fs.symlinkSync(path.join(root, 'gone'), path.join(root, 'dangling'));
    expect((await scanRepository(root)).map(({ name }) => name)).toEqual(['linked', 'real']);
  });
});

test("a model's directory that may not be read has that as its problem, not that it has no versions", async () => {
  const root = repositoryOf('m/1/', 'n/1/');
  fs.chmodSync(root, 0o755);
  fs.chmodSync(path.join(root, 'm'), 0);
  const folders = await withoutRoot(() => scanRepository(root));
  expect(folders.map(({ name, problem }) => [name, problem])).toEqual([
    ['m', `${path.join(root, 'm')} cannot be read: check its permissions`],
    ['n', undefined],
  ]);
});

describe('files that are not models', () => {
  test.each([
    'lost+found',
    '@eaDir',
    '__pycache__',
    '$RECYCLE.BIN',
    'System Volume Information',
    '#recycle',
    '__MACOSX',
  ])("is the directory '%s', which is ignored", async (name) => {
    expect(await listNames(repositoryOf('m/1/', `${name}/`, `${name}/inner/file`))).toEqual({
      models: ['m'],
      foreign: [name],
      loose: [],
    });
  });

  test('is a directory that may not be read', async () => {
    const root = repositoryOf('m/1/', 'lost+found/');
    fs.chmodSync(path.join(root, 'lost+found'), 0);
    expect((await listNames(root)).models).toEqual(['m']);
  });

  test('are hidden directories and links, as volumes of Kubernetes have them', async () => {
    const root = repositoryOf('..2024_01_15/m/1/', '.snapshot/m/1/');
    fs.symlinkSync('..2024_01_15', path.join(root, '..data'));
    fs.symlinkSync('..data/m', path.join(root, 'm'));
    expect(await listNames(root)).toEqual({ models: ['m'], foreign: [], loose: [] });
  });

  test('are skipped, and named if they look like models', async () => {
    expect(await listNames(repositoryOf('m/1/', 'README.md', 'resnet.onnx'))).toMatchObject({
      models: ['m'],
      loose: ['resnet.onnx'],
    });
  });

  test.each([
    { what: 'with a configuration', paths: ['1/model.onnx', 'config.pbtxt'] },
    { what: 'without one', paths: ['1/model.onnx', '20240115120000/model.onnx'] },
    { what: 'with a configuration and no file yet', paths: ['1/', 'config.yaml'] },
  ])('is the repository itself, where it is the folder of a model $what', async ({ paths }) => {
    const root = repositoryOf(...paths);
    await expect(listNames(root)).rejects.toThrow(
      new RepositoryError(
        `'${root}' is a model, not a repository of models: give its parent directory: npx tensorgate serve ${path.dirname(root)}`,
      ),
    );
  });

  test('is not a repository whose models have numbers for names', async () => {
    expect((await listNames(repositoryOf('1/1/model.onnx', '2/7/model.onnx'))).models).toEqual(['1', '2']);
    expect((await listNames(repositoryOf('1/', '2/'))).models).toEqual(['1', '2']);
  });

  test('with a file in the place of its versions says where it belongs', async () => {
    expect((await scanned('m/resnet.onnx'))[0]?.problem).toBe(
      "no version: expected a directory such as 1/ with model.onnx in it; 'resnet.onnx' lies beside it: move it to 1/model.onnx",
    );
  });
});

describe('versions', () => {
  test('are the directories whose names are decimal numbers above 0, ascending as numbers', async () => {
    const paths = [
      '10/',
      '9/',
      '1/',
      '0/',
      '01/',
      '-1/',
      '1.0/',
      '1e1/',
      'latest/',
      '20240115120000/',
      '9007199254740993/',
      '9223372036854775807/',
      '9223372036854775808/',
      '７/',
      '3',
    ];
    const [folder] = await scanned(...paths.map((name) => `m/${name}`));
    expect(folder?.versions).toEqual(['1', '9', '10', '20240115120000', '9007199254740993', '9223372036854775807']);
  });

  test.each([
    { name: 'no directory at all', paths: ['m/config.yaml'] },
    { name: 'only such that are no versions', paths: ['m/0/', 'm/v1/', 'm/README.md'] },
  ])('$name: the model is broken, and the reason says what is expected', async ({ paths }) => {
    expect((await scanned(...paths))[0]?.problem).toBe(
      'no version: expected a directory such as 1/ with model.onnx in it',
    );
  });
});

describe('names', () => {
  test.each(['a', 'A.b_c-1', '0', 'x'.repeat(128)])("'%s' is one", async (name) => {
    expect((await scanned(`${name}/1/`))[0]?.problem).toBeUndefined();
  });

  test.each(['with space', '-a', '_a', 'ä', 'a:b', 'x'.repeat(129)])("'%s' is none", async (name) => {
    expect((await scanned(`${name}/1/`))[0]?.problem).toContain('is no model name');
  });
});

describe('the configuration', () => {
  test.each(['config.yaml', 'config.yml', 'config.json', 'config.pbtxt'])('may be %s', async (name) => {
    const root = repositoryOf('m/1/', `m/${name}`);
    expect((await scanRepository(root))[0]).toMatchObject({
      configPath: path.join(root, 'm', name),
      problem: undefined,
    });
  });

  test('may be absent', async () => {
    expect((await scanned('m/1/'))[0]).toMatchObject({ configPath: undefined, problem: undefined });
  });

  test('cannot be two', async () => {
    expect((await scanned('m/1/', 'm/config.yaml', 'm/config.json'))[0]?.problem).toBe(
      'both config.yaml and config.json are there: keep one',
    );
    expect((await scanned('m/1/', 'm/config.yaml', 'm/config.pbtxt'))[0]?.problem).toBe(
      'both config.yaml and config.pbtxt are there: keep one',
    );
  });
});
