/** Prints every object that some legal list of components makes, each once, for `dry-run.sh`. */

import { composeLegal, LEGAL } from './components.ts';

const objects = new Map<string, unknown>();
await composeLegal((_, build) => {
  for (const object of build.objects) objects.set(JSON.stringify(object), object);
});
console.error(`${objects.size} objects of ${LEGAL.length} lists of components`);
console.log(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...objects.values()] }));
