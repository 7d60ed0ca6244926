import type { Mailbox } from '../../src/worker/mailbox.ts';

/** The bytes that lie in a mailbox now, in memory of their own. */
export async function readMailbox(mailbox: Mailbox, offset: number, byteLength: number): Promise<Buffer> {
  const target = Buffer.alloc(byteLength);
  await mailbox.read(target, offset);
  return target;
}
