/** The programs of docs/typescript.md and docs/code-models.md compile, as they are, and the tests of the first pass. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { modelsModule } from '../../src/cli/models-module.ts';
import { runProgram } from '../support/run-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PAGE = fs.readFileSync(path.join(ROOT, 'docs/typescript.md'), 'utf8');
const CODE_PAGE = fs.readFileSync(path.join(ROOT, 'docs/code-models.md'), 'utf8');
const PROGRAMS = [...`${PAGE}\n${CODE_PAGE}`.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, program = '']) => program);
/** The packages that programs import, and their sources. */
const PACKAGES = {
  '@tensorgate/client': path.join(ROOT, 'src/client/inference-client.ts'),
  'tensorgate/step': path.join(ROOT, 'src/worker/steps/code-model.ts'),
  tensorgate: path.join(ROOT, 'src/embed/embedded-server.ts'),
  'tensorgate/testing': path.join(ROOT, 'src/testing/test-server.ts'),
};

test('every program of the pages compiles', { timeout: 240_000 }, async () => {
  const directory = temporaryDirectory();
  expect(PROGRAMS.length).toBeGreaterThan(4);
  for (const [index, program] of PROGRAMS.entries()) {
    fs.writeFileSync(path.join(directory, `program-${index}.ts`), program);
  }
  const metadata = {
    name: 'cifar10',
    versions: ['1'],
    platform: 'onnxruntime_onnx',
    inputs: [{ name: 'image', datatype: 'UINT8', shape: [-1, 3, 32, 32] }],
    outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 10] }],
    properties: {},
  };
  const models = modelsModule([{ name: 'cifar10', metadata, config: undefined }], '@tensorgate/client');
  fs.writeFileSync(path.join(directory, 'models.ts'), models);
  const compilerOptions = {
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable', 'esnext.float16'],
    types: ['node'],
    typeRoots: [path.join(ROOT, 'node_modules/@types')],
    module: 'esnext',
    moduleResolution: 'bundler',
    moduleDetection: 'force',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    paths: {
      ...Object.fromEntries(Object.entries(PACKAGES).map(([name, source]) => [name, [source]])),
      vitest: [path.join(ROOT, 'node_modules/vitest')],
    },
  };
  fs.writeFileSync(path.join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
  expect(await runProgram(tsc, ['-p', directory, '--pretty', 'false'])).toMatchObject({ code: 0, stdout: '' });
});

/** The tests of the page become tests of this file. */
describe('the page', async () => {
  const [program = ''] = PROGRAMS.filter((each) => each.includes("from 'vitest'"));
  const local = Object.entries(PACKAGES).reduce(
    (text, [name, source]) => text.replace(`from '${name}'`, `from '${source}'`),
    program.replace("from 'vitest'", `from '${path.join(ROOT, 'node_modules/vitest/dist/index.js')}'`),
  );
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-page-'));
  afterAll(() => fs.rmSync(directory, { recursive: true }));
  const file = path.join(directory, 'page.ts');
  fs.writeFileSync(file, local);
  await import(file);
});
