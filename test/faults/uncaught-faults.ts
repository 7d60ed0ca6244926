/**
 * Loaded into a server before its own code (`node --import`). SIGUSR2: a refusal of the system that nothing listens to.
 * SIGWINCH: a bug. A runner, which inherits the environment, sends bytes that are no message on SIGUSR2.
 */

import fs from 'node:fs';

if (process.argv[1]?.includes('/worker/runner.') === true) {
  // The channel of a process that Node forks.
  process.on('SIGUSR2', () => fs.writeSync(3, 'no message\n'));
}

if (process.argv[1]?.endsWith('/main.ts') === true) {
  process.on('SIGUSR2', () => void fs.createReadStream('/nowhere/file'));
  process.on('SIGWINCH', () => {
    const nothing: { readonly name?: string } = {};
    void Promise.resolve().then(() => nothing.name?.length.toString().at(0) ?? fail());
  });
}

function fail(): never {
  throw new TypeError('a bug that a test has put here');
}
