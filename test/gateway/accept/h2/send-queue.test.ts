import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { FrameWriter } from '../../../../src/gateway/accept/h2/frame-writer.ts';
import { SendQueue } from '../../../../src/gateway/accept/h2/send-queue.ts';

/** A socket that keeps what it is given. */
function sink(): { readonly writer: FrameWriter; written(): Buffer } {
  const pieces: Buffer[] = [];
  const socket = new Writable({
    write(chunk: Buffer, _encoding, done) {
      pieces.push(Buffer.from(chunk));
      done();
    },
  });
  const writer = new FrameWriter(socket as ConstructorParameters<typeof FrameWriter>[0]);
  return {
    writer,
    written() {
      writer.flush();
      return Buffer.concat(pieces);
    },
  };
}

test('bytes leave in the order in which they came, however they are cut, also from a queue that is never empty', () => {
  const queue = new SendQueue();
  const { writer, written } = sink();
  const pushed: Buffer[] = [];
  for (let index = 0; index < 5_000; index++) {
    const piece = Buffer.alloc(1 + ((index * 37) % 900), index);
    pushed.push(piece);
    queue.push(piece);
    // Always behind by some pieces, and never at the end of one but by chance.
    if (queue.byteLength > 5_000) queue.moveTo(writer, Math.min(queue.byteLength - 3_000, 1_700));
  }
  expect(queue.byteLength).toBeGreaterThan(0);
  queue.moveTo(writer, queue.byteLength);
  expect(queue.byteLength).toBe(0);
  expect(written().equals(Buffer.concat(pushed))).toBe(true);
});
