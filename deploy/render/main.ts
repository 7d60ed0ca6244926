/**
 * `npm run render -- DIR`: writes `DIR/<overlay>.yaml` for every overlay of `deploy/istio`, for clusters that apply plain YAML.
 * The images are placeholders, as in the overlays.
 */

import fs from 'node:fs';
import path from 'node:path';
import { BuildError, findKubectl, kustomize } from '../lint/build.ts';

const OVERLAYS = path.join(import.meta.dirname, '../istio/overlays');

const [directory, ...others] = process.argv.slice(2);
if (directory === undefined || others.length > 0) {
  console.error('usage: npm run render -- DIR');
  process.exitCode = 2;
} else {
  try {
    renderAll(directory);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

/** Nothing is written when one overlay cannot be built. @throws BuildError */
function renderAll(target: string): void {
  const kubectl = findKubectl(process.env);
  const rendered = fs
    .readdirSync(OVERLAYS)
    .map((name) => [`${name}.yaml`, kustomize(path.join(OVERLAYS, name), kubectl)] as const);
  fs.mkdirSync(target, { recursive: true });
  for (const [file, text] of rendered) fs.writeFileSync(path.join(target, file), text);
  console.log(`${rendered.length} files in ${target}: replace example.com/… by your images before you apply one`);
}
