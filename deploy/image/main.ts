/**
 * npm run image -- --rootfs DIR [--cuda] [--max-mb N]
 *
 * Makes the file tree of the container image in DIR, which must not exist or be empty, and says how large it is. Ends with 1
 * where it is larger than N megabytes, by default 400. Needs the packages of the lock file installed (`npm ci`), and Linux.
 */

import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { STEPS } from './file-tree.ts';
import { partsOf, treeBytes } from './tree-size.ts';

const MB = 1e6;
const SHOWN = 12;

const { values } = parseArgs({
  options: {
    rootfs: { type: 'string' },
    cuda: { type: 'boolean', default: false },
    'max-mb': { type: 'string', default: '400' },
  },
});
const limit = Number(values['max-mb']);
if (values.rootfs === undefined || !(limit > 0)) {
  console.error('usage: npm run image -- --rootfs DIR [--cuda] [--max-mb N]');
  process.exit(2);
}
if (process.platform !== 'linux') {
  console.error(`the image is of Linux, and so must be the machine that makes it, not ${process.platform}`);
  process.exit(2);
}
const source = path.resolve(import.meta.dirname, '../..');
const wanted = fs.readFileSync(path.join(source, '.nvmrc'), 'utf8').trim();
if (process.versions.node.split('.')[0] !== wanted) {
  console.error(`the image is of Node ${wanted}, this is ${process.version}: npm run image takes the right one`);
  process.exit(2);
}
const target = path.resolve(values.rootfs);
if (fs.existsSync(target) && fs.readdirSync(target).length > 0) {
  console.error(`${target} is not empty: give a folder that is, or that is not there`);
  process.exit(2);
}

fs.mkdirSync(target, { recursive: true });
for (const { what, take } of STEPS) {
  console.error(what);
  await take({ source, target, cuda: values.cuda });
}

const total = treeBytes(target) / MB;
const parts = partsOf(target);
for (const { name, bytes } of parts.slice(0, SHOWN)) console.log(`${(bytes / MB).toFixed(1).padStart(7)} MB  ${name}`);
const rest = parts.slice(SHOWN).reduce((sum, { bytes }) => sum + bytes, 0) / MB;
console.log(`${rest.toFixed(1).padStart(7)} MB  in ${Math.max(0, parts.length - SHOWN)} others`);
console.log(`${total.toFixed(1).padStart(7)} MB  in all, of at most ${limit}`);
if (total > limit) {
  const largest = parts.slice(0, 3).map(({ name, bytes }) => `${name} (${(bytes / MB).toFixed(1)} MB)`);
  console.error(`the image is too large by ${(total - limit).toFixed(1)} MB; its largest parts: ${largest.join(', ')}`);
  process.exit(1);
}
