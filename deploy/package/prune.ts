/**
 * `npm ci` in a clone runs this last: it removes installed files that nothing here runs, half of the disk space. No setting of npm keeps
 * them out, because they are parts of packages: ONNX Runtime for other systems, and headers and documentation of Node.
 */

import fs from 'node:fs';
import path from 'node:path';

const PACKAGES = path.join(import.meta.dirname, '../../node_modules');

/** The npm package of tensorgate holds Linux, whatever system it is made on. */
const KEPT_SYSTEMS: readonly string[] = ['linux', process.platform];

for (const folder of [...otherSystems(), ...nodeDistributions()]) fs.rmSync(folder, { recursive: true });

function otherSystems(): string[] {
  const systems = fs.globSync('onnxruntime-node/bin/*/*', { cwd: PACKAGES });
  return systems.filter((folder) => !KEPT_SYSTEMS.includes(path.basename(folder))).map(within);
}

/** The program itself also has a link outside the distribution that it came with. */
function nodeDistributions(): string[] {
  const program = path.join(PACKAGES, 'node/bin/node');
  if (!fs.existsSync(program) || fs.lstatSync(program).isSymbolicLink()) return [];
  return fs.globSync('node/node_modules/node-*-*/{include,share,lib}', { cwd: PACKAGES }).map(within);
}

function within(folder: string): string {
  return path.join(PACKAGES, folder);
}
