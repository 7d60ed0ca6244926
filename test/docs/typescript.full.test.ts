/** The programs of docs/typescript.md compile, as they are. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { modelsModule } from '../../src/cli/models-module.ts';
import { runProgram } from '../support/run-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PAGE = fs.readFileSync(path.join(ROOT, 'docs/typescript.md'), 'utf8');

test('every program of the page compiles', async () => {
  const directory = temporaryDirectory();
  const programs = [...PAGE.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, program = '']) => program);
  expect(programs.length).toBeGreaterThan(4);
  for (const [index, program] of programs.entries()) {
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
      '@tensorgate/client': [path.join(ROOT, 'src/client/inference-client.ts')],
      tensorgate: [path.join(ROOT, 'src/embed/embedded-server.ts')],
    },
  };
  fs.writeFileSync(path.join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
  expect(await runProgram(tsc, ['-p', directory, '--pretty', 'false'])).toMatchObject({ code: 0, stdout: '' });
});
