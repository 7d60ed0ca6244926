/** npm run test:tools: says which outside tools are missing, and the command that installs them. It never fails. */

import * as finders from './tools.ts';

const names = Object.keys(finders);
const missing = Object.entries(finders)
  .filter(([, find]) => find() === undefined)
  .map(([name]) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
if (missing.length === 0) {
  console.log(`all ${names.length} outside tools are there: no test is skipped for lack of one`);
} else {
  console.log(`${missing.length} of ${names.length} outside tools are missing: ${missing.join(', ')}`);
  console.log(
    'the tests that need them will be skipped; this installs them (Go, Python with venv, Java with Maven, Debian):',
  );
  console.log('  test/tools/setup.sh');
}
