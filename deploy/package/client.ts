/**
 * node deploy/package/client.ts make|remove
 *
 * Makes what the npm package `@tensorgate/client` holds besides `src/client/package.json`, beside that file, and removes it again:
 * `npm pack --workspace @tensorgate/client` runs the first before and the second after. The package is built from the sources that
 * `tensorgate/client` is built from.
 */

import fs from 'node:fs';
import path from 'node:path';
import { bundle } from './bundle.ts';
import { keepReachable } from './declarations.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PACKAGE = path.join(ROOT, 'src/client');
const ENTRY = 'client/inference-client';
/** The protocols that the client reads. */
const PROTOCOLS = ['health.proto', 'inference.proto', 'model_config.proto', 'tensorgate.proto'];
const MADE = ['dist', 'proto', 'LICENSE'].map((name) => path.join(PACKAGE, name));

for (const made of MADE) fs.rmSync(made, { recursive: true, force: true });
if (process.argv[2] === 'make') {
  const [dist = '', proto = '', licence = ''] = MADE;
  await bundle(ROOT, dist, { entries: [ENTRY], types: true });
  keepReachable(dist, `${ENTRY}.d.ts`);
  fs.mkdirSync(proto);
  for (const name of PROTOCOLS) fs.copyFileSync(path.join(ROOT, 'proto', name), path.join(proto, name));
  fs.copyFileSync(path.join(ROOT, 'LICENSE'), licence);
}
