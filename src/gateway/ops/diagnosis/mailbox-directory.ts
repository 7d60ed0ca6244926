/** The directory through which tensors pass: whether it can be written, is memory, and has room. The server looks when it starts, too. */

import fs from 'node:fs';
import { messageOf } from '../../../error-message.ts';
import { Mailbox } from '../../../worker/mailbox.ts';
import { outputLimit, type Settings } from '../settings.ts';
import { type Finding, formatBytes } from './finding.ts';

/** Linux: `TMPFS_MAGIC` and `RAMFS_MAGIC` of linux/magic.h. */
const MEMORY_FILE_SYSTEMS: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

export type MailboxSettings = Pick<Settings, 'mailboxDirectory' | 'maxMessageBytes' | 'maxOutputBytes'>;

export function checkMailboxDirectory(settings: MailboxSettings): Finding {
  const { mailboxDirectory } = settings;
  try {
    Mailbox.create(mailboxDirectory).close();
  } catch (error) {
    return { level: 'fail', subject: SUBJECT, text: messageOf(error) };
  }
  const { type, blocks, bavail, bsize } = fs.statfsSync(mailboxDirectory);
  // A memory file system without a limit says that it has no blocks.
  const free = blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize;
  return judgeMailbox(settings, { inMemory: MEMORY_FILE_SYSTEMS.has(type), free });
}

const SUBJECT = 'mailbox';

/** @param room what the file system is, and how many bytes are free in it. */
export function judgeMailbox(
  settings: MailboxSettings,
  room: { readonly inMemory: boolean; readonly free: number },
): Finding {
  const { mailboxDirectory, maxMessageBytes } = settings;
  const maxOutputBytes = outputLimit(settings);
  const free = room.free === Number.POSITIVE_INFINITY ? 'without a limit' : `${formatBytes(room.free)} free`;
  const text = `${mailboxDirectory} is ${room.inMemory ? 'memory' : 'no memory file system'}, ${free}`;
  const needed = maxMessageBytes + maxOutputBytes;
  if (room.free < needed) {
    const parts = `a request of maxMessageBytes (${formatBytes(maxMessageBytes)}) and outputs of maxOutputBytes (${formatBytes(maxOutputBytes)})`;
    return {
      level: 'warn',
      subject: SUBJECT,
      text: `${text}: ${parts} need ${formatBytes(needed)}; batches that find no room wait for others, and what needs more than all of it is refused`,
      advice:
        'make it larger (docker run --shm-size 1g, an emptyDir of medium Memory with a sizeLimit), name another with --mailbox-directory, or lower maxMessageBytes',
    };
  }
  if (!room.inMemory) {
    const advice = 'give a directory on tmpfs with --mailbox-directory: on a disk every tensor may be written out';
    return { level: 'warn', subject: SUBJECT, text, advice };
  }
  return { level: 'ok', subject: SUBJECT, text };
}
