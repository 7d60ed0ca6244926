/** The directory through which tensors pass: whether it can be written, is memory, and has room. */

import fs from 'node:fs';
import { Mailbox } from '../../worker/mailbox.ts';
import type { Settings } from '../ops/settings.ts';
import { type Finding, formatBytes } from './finding.ts';

/** Linux: `TMPFS_MAGIC` and `RAMFS_MAGIC` of linux/magic.h. */
const MEMORY_FILE_SYSTEMS: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

export type MailboxSettings = Pick<Settings, 'mailboxDirectory' | 'maxMessageBytes'>;

export function checkMailboxDirectory({ mailboxDirectory, maxMessageBytes }: MailboxSettings): Finding {
  const subject = 'mailbox';
  try {
    Mailbox.create(mailboxDirectory).close();
  } catch (error) {
    return { level: 'fail', subject, text: error instanceof Error ? error.message : String(error) };
  }
  const { type, bavail, bsize } = fs.statfsSync(mailboxDirectory);
  return judgeMailbox(
    { mailboxDirectory, maxMessageBytes },
    { inMemory: MEMORY_FILE_SYSTEMS.has(type), free: bavail * bsize },
  );
}

/** @param room what the file system is, and how many bytes are free in it. */
export function judgeMailbox(
  { mailboxDirectory, maxMessageBytes }: MailboxSettings,
  room: { readonly inMemory: boolean; readonly free: number },
): Finding {
  const subject = 'mailbox';
  const text = `${mailboxDirectory} is ${room.inMemory ? 'memory' : 'no memory file system'}, ${formatBytes(room.free)} free`;
  // The longest request, and an answer as long.
  if (room.free < 2 * maxMessageBytes) {
    return {
      level: 'warn',
      subject,
      text: `${text}: a request of maxMessageBytes (${formatBytes(maxMessageBytes)}) and an answer as long do not fit`,
      advice: 'make it larger (docker run --shm-size 1g, an emptyDir of medium Memory), or lower maxMessageBytes',
    };
  }
  if (!room.inMemory) {
    const advice = 'give a directory on tmpfs with --mailbox-directory: on a disk every tensor may be written out';
    return { level: 'warn', subject, text, advice };
  }
  return { level: 'ok', subject, text };
}
