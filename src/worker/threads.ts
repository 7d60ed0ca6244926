/** The threads of this process, by their ids in the system: Linux lists them, other systems do not. */

import fs from 'node:fs';

/** Ids of all threads; none where the system does not list them. */
export function threadIds(): readonly number[] {
  try {
    return fs.readdirSync('/proc/self/task').map(Number);
  } catch {
    return [];
  }
}

/** The id of the thread that asks; `undefined` where the system does not say. */
export function ownThreadId(): number | undefined {
  try {
    return Number(/\d+$/.exec(fs.readlinkSync('/proc/thread-self'))?.[0]);
  } catch {
    return undefined;
  }
}
