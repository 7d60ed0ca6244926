/**
 * node deploy/package/main.ts: makes `dist`, all that the npm package holds besides what lies in the repository. `npm pack` runs
 * this first.
 *
 * ONNX Runtime is part of it: the files of onnxruntime-node for Linux. As a dependency, onnxruntime-node would bring the
 * libraries of every platform (288 MB), and its install script, which downloads CUDA, would fail each installation that does
 * not reach NuGet.
 */

import fs from 'node:fs';
import path from 'node:path';
import { bundle } from './bundle.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const DIST = path.join(ROOT, 'dist');
const INSTALLED = path.join(ROOT, 'node_modules/onnxruntime-node');
const BUNDLED = path.join(DIST, 'onnxruntime-node');

/** For compilers and debuggers, not for running. */
const NOT_RUN = /\.map$|\.d\.ts$/;

fs.rmSync(DIST, { recursive: true, force: true });
await bundle(ROOT, DIST, { types: true });
fs.cpSync(path.join(INSTALLED, 'dist'), path.join(BUNDLED, 'dist'), {
  recursive: true,
  filter: (file) => !NOT_RUN.test(file),
});
const [napi = ''] = fs.readdirSync(path.join(INSTALLED, 'bin'));
fs.cpSync(path.join(INSTALLED, 'bin', napi, 'linux'), path.join(BUNDLED, 'bin', napi, 'linux'), {
  recursive: true,
  // CUDA and TensorRT, where the install script has fetched them.
  filter: (file) => !path.basename(file).startsWith('libonnxruntime_providers_'),
});
const { name, version, license, main } = JSON.parse(fs.readFileSync(path.join(INSTALLED, 'package.json'), 'utf8'));
fs.writeFileSync(path.join(BUNDLED, 'package.json'), `${JSON.stringify({ name, version, license, main }, null, 2)}\n`);
fs.copyFileSync(path.join(ROOT, 'third_party/onnxruntime/LICENSE'), path.join(BUNDLED, 'LICENSE'));
