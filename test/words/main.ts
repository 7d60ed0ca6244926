/**
 * Finds the phrases that CONTRIBUTING.md rules out in everything that a person reads. Needs nothing that is not in the
 * repository, so that every contributor can run it: `npm run lint:words`, a part of `npm run check`.
 */

import { check } from './check.ts';

for (const { area, findings, lines } of check()) {
  for (const finding of findings) console.log(finding);
  console.log(`${area}: ${findings.length} findings in ${lines} lines`);
  if (findings.length > 0) process.exitCode = 1;
}
