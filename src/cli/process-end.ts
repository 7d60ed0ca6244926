/**
 * How the process of the server ends: by `process.exit`, unless a thread is inside a file system that hangs. `process.exit` waits
 * for Node's threads, and would never return; only a signal ends such a process.
 */

import { setTimeout as sleep } from 'node:timers/promises';

/** How often it is looked whether files are still being read or written. */
const LOOK_MS = 10;

/** Ends the process with `code` when no file is being read or written any more, or after `waitMs` without it. */
export async function endProcess(code: number, waitMs: number): Promise<never> {
  const endAt = performance.now() + waitMs;
  while (isUsingFiles() && performance.now() < endAt) await sleep(LOOK_MS);
  if (!isUsingFiles()) process.exit(code);
  process.kill(process.pid, 'SIGKILL');
  // Still here: the first process of a container ignores the signal, but not this.
  return process.abort();
}

function isUsingFiles(): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
}
