/**
 * Finds the phrases that CONTRIBUTING.md rules out in everything that a person reads. Needs nothing that is not in the
 * repository, so that every contributor can run it: `npm run lint:words`, with `--all` for findings within the budget too.
 */

import { BUDGETS, check, describeFinding, LONG_SENTENCES } from './check.ts';

const results = check();
const showsAll = process.argv.includes('--all');
let failed = false;
for (const { area, findings, lines, longSentences } of results) {
  const allowed = Math.floor((BUDGETS[area] * lines) / 1000);
  const isOver = findings.length > allowed || longSentences > LONG_SENTENCES;
  failed ||= isOver;
  if (isOver || showsAll) for (const finding of findings) console.log(describeFinding(finding));
  console.log(
    `${area}: ${findings.length} in ${lines} lines (at most ${allowed}), ${longSentences} sentences of more than 30 words`,
  );
}
if (failed) process.exitCode = 1;
