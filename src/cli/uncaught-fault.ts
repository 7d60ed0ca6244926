/**
 * The last net under the server: what nothing in it caught.
 *
 * A refusal of the operating system (no descriptor, no memory, a full disk, a peer that is gone) says that one operation failed.
 * Nothing of the gateway's own state is wrong, and what waits for the operation has a limit: the server goes on, because
 * an exit would fail every caller for one. Anything else is a bug, after which no state can be trusted: the server drains, so that
 * what it accepted is answered and balancers send the rest elsewhere, and ends with 1, so that its supervisor starts another.
 */

import { constants } from 'node:os';

/** Equal refusals within this time are one line in the log, in milliseconds. */
const QUIET_MS = 1_000;

/** Whether the fault is a refusal of the operating system: not all of them name the system call. */
export function isSystemRefusal(fault: unknown): fault is NodeJS.ErrnoException {
  return fault instanceof Error && 'code' in fault && Object.hasOwn(constants.errno, String(fault.code));
}

export type LogFault = (text: string, cause: unknown) => void;

/** Whether a runner whose memory is corrupt sent bytes that are no message: Node parses them where nothing can catch what it throws. */
function isChannelGarbage(fault: unknown): boolean {
  return fault instanceof SyntaxError && fault.stack?.includes('node:internal/child_process/serialization') === true;
}

/** Logs what nothing caught, until the process ends. Resolves with the first fault after which the server cannot go on. */
export function watchFaults(log: LogFault, target: NodeJS.EventEmitter = process): Promise<unknown> {
  const loggedAt = new Map<string, number>();
  return new Promise((resolve) => {
    target.on('uncaughtException', (fault: unknown) => {
      if (isChannelGarbage(fault)) {
        log(
          'a runner sent a malformed message: the work of that runner ends at its limit, and the server goes on',
          fault,
        );
        return;
      }
      if (!isSystemRefusal(fault)) {
        log('a bug of the server: it drains, and ends', fault);
        resolve(fault);
        return;
      }
      const kind = `${fault.syscall ?? 'an operation:'} ${fault.code}`;
      const now = performance.now();
      if (now - (loggedAt.get(kind) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
      loggedAt.set(kind, now);
      log(`the system refused ${kind}, for which nothing was prepared: the server goes on`, fault);
    });
  });
}
