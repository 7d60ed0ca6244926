import fs from 'node:fs';
import { vi } from 'vitest';
import { MAILBOX_DIRECTORY } from '../../src/mailbox-directory.ts';

/** An idle mailbox may keep so much. */
const KEPT_BYTES = 64 * 1024;

/** Memory of the largest file that a process holds open in the directory of the mailboxes. */
export function largestFile(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  const sizes = fs.readdirSync(folder).map((entry) => {
    try {
      const isOurs = fs.readlinkSync(`${folder}/${entry}`).startsWith(`${MAILBOX_DIRECTORY}/`);
      return isOurs ? fs.statSync(`${folder}/${entry}`).blocks * 512 : 0;
    } catch {
      return 0; // the descriptor of this very listing
    }
  });
  return Math.max(0, ...sizes);
}

/** Resolves when no file holds memory: nothing of a request is left where it landed, and the mailboxes are idle. */
export async function untilNothingLanded(pid: number): Promise<void> {
  await vi.waitUntil(() => largestFile(pid) <= KEPT_BYTES, { timeout: 30_000, interval: 50 });
}
