/**
 * Finds the phrases that CONTRIBUTING.md rules out in everything that a person reads. Needs nothing that is not in the
 * repository, so that every contributor can run it: `npm run lint:words`, with `--all` for findings within the budget too.
 */

import { BUDGETS, check, describeFinding, describeLongSentence } from './check.ts';

const results = check();
const showsAll = process.argv.includes('--all');
let failed = false;
for (const { area, findings, lines, longSentences } of results) {
  const allowed = Math.floor((BUDGETS[area] * lines) / 1000);
  const isOver = findings.length > allowed;
  failed ||= isOver || longSentences.length > 0;
  if (isOver || showsAll) for (const finding of findings) console.log(describeFinding(finding));
  for (const sentence of longSentences) console.log(describeLongSentence(sentence));
  console.log(`${area}: ${findings.length} in ${lines} lines (at most ${allowed})`);
}
if (failed) process.exitCode = 1;
