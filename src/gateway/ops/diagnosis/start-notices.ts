/** Findings on the machine that a server logs when it starts. */

import type { CapacityFinding } from '../capacity.ts';
import { diagnostics } from '../diagnostics.ts';
import type { Settings } from '../settings.ts';
import { checkMailboxDirectory } from './mailbox-directory.ts';

export function reportMachine(settings: Settings, capacity: readonly CapacityFinding[]): void {
  for (const { subject, text, advice } of capacity) {
    const level = advice === undefined ? 'info' : 'warn';
    diagnostics.notice.publish({ level, text: `${subject}: ${text}${advice === undefined ? '' : `; ${advice}`}` });
  }
  // A directory in which no mailbox can be made is the reason of each model that does not load.
  const { level, subject, text, advice } = checkMailboxDirectory(settings);
  if (level === 'warn') diagnostics.notice.publish({ level, text: `${subject}: ${text}; ${advice}` });
}
