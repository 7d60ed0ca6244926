import fs from 'node:fs';
import { vi } from 'vitest';
import { MAILBOX_DIRECTORY } from '../../src/mailbox-directory.ts';

/** An idle mailbox may keep so much. */
const KEPT_BYTES = 64 * 1024;

/** Memory of the files that a process holds open in the directory of the mailboxes, each of them once. */
export function memoryOfFiles(pid: number): number[] {
  const folder = `/proc/${pid}/fd`;
  const byInode = new Map<number, number>();
  for (const entry of fs.readdirSync(folder)) {
    try {
      if (!fs.readlinkSync(`${folder}/${entry}`).startsWith(`${MAILBOX_DIRECTORY}/`)) continue;
      const { ino, blocks } = fs.statSync(`${folder}/${entry}`);
      byInode.set(ino, blocks * 512);
    } catch {
      // the descriptor of this very listing
    }
  }
  return [...byInode.values()];
}

/** Resolves when no file holds memory: nothing of a request is left where it landed, and the mailboxes are idle. */
export async function untilNothingLanded(pid: number): Promise<void> {
  await vi.waitUntil(() => Math.max(0, ...memoryOfFiles(pid)) <= KEPT_BYTES, { timeout: 30_000, interval: 50 });
}
