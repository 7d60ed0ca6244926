import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { FrameWriter } from '../../src/http2/frame-writer.ts';
import { SendQueue } from '../../src/http2/send-queue.ts';
import { collectGarbage } from '../support/collect-garbage.ts';

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

test('small pieces leave in their order, too, also where they were joined', () => {
  const queue = new SendQueue();
  const { writer, written } = sink();
  const pushed: Buffer[] = [];
  for (let index = 0; index < 20_000; index++) {
    const piece = Buffer.alloc(index % 997 === 0 ? 2_000 : 1 + (index % 9), index);
    queue.push(piece);
    pushed.push(piece);
    // Now and then all of it leaves, or a part that ends within a piece.
    if (index % 100 === 37) queue.moveTo(writer, Math.max(0, queue.byteLength - (index % 200 === 137 ? 0 : 7)));
  }
  queue.moveTo(writer, queue.byteLength);
  expect(written().equals(Buffer.concat(pushed))).toBe(true);
});

test('small pieces hold little more than their bytes', () => {
  const queue = new SendQueue();
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 20_000; index++) {
    queue.push(Buffer.allocUnsafe(5));
    queue.push(Buffer.allocUnsafe(55));
  }
  collectGarbage();
  expect(queue.byteLength).toBe(1_200_000);
  // As objects of their own they hold four times as much.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(1_200_000);
});

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
