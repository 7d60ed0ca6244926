import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { findOnnxRuntime } from '../../src/worker/onnx-runtime-package.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const INSTALLED = packageJson.devDependencies['onnxruntime-node'];

/** What the package of tensorgate brings: one binding, for linux/x64. */
function bundle(version: string): string {
  const directory = temporaryDirectory();
  const binding = path.join(directory, 'bin/napi-v6/linux/x64');
  fs.mkdirSync(binding, { recursive: true });
  fs.writeFileSync(path.join(binding, 'onnxruntime_binding.node'), '');
  fs.writeFileSync(path.join(directory, 'package.json'), JSON.stringify({ version }));
  return directory;
}

test('in a clone, the installed package is found, with its binding for this machine', () => {
  const { version, bindingDirectory } = findOnnxRuntime();
  expect(version).toBe(INSTALLED);
  expect(fs.readdirSync(bindingDirectory ?? '')).toContain('onnxruntime_binding.node');
});

test('for a machine that the installed package does not know, there is no binding', () => {
  expect(findOnnxRuntime('linux', 's390x').bindingDirectory).toBeUndefined();
});

test('an installed package of the version that comes with tensorgate is preferred: it may hold CUDA, or another platform', () => {
  expect(findOnnxRuntime('darwin', 'arm64', bundle(INSTALLED)).directory).toMatch(/node_modules\/onnxruntime-node$/);
});

test('an installed package of another version is left to the project that installed it', () => {
  const bundled = bundle('1.29.0');
  expect(findOnnxRuntime('linux', 'x64', bundled).directory).toBe(bundled);
});

test('where the files that come with tensorgate do not fit, the error names the package to install', () => {
  expect(() => findOnnxRuntime('darwin', 'arm64', bundle('1.29.0'))).toThrow(
    'the package of tensorgate has no ONNX Runtime for darwin/arm64: npm install onnxruntime-node@1.29.0',
  );
});
