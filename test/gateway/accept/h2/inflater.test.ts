import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { Inflater } from '../../../../src/gateway/accept/h2/inflater.ts';
import { MessageLimit } from '../../../../src/gateway/accept/message-limit.ts';
import { InferError } from '../../../../src/gateway/errors.ts';
import { collectGarbage } from '../../../support/collect-garbage.ts';

const MAX_BYTES = 100_000;
const limit = new MessageLimit('/t/Echo', { kind: 'unary', handle: () => undefined }, MAX_BYTES);
const BOUNDS = { limit, hold: () => undefined };

function inflate(inflater: Inflater, message: Buffer, encoding: 'gzip' | 'deflate'): Promise<Buffer | InferError> {
  return new Promise((resolve) => inflater.inflate(message, encoding, BOUNDS, resolve));
}

describe('an inflater', () => {
  test('inflates any number of messages, up to the limit of each', async () => {
    const inflater = new Inflater();
    const plain = Array.from({ length: 50 }, (_, index) => Buffer.alloc(index * 2_000, index));
    const done = plain.map((message, index) =>
      index % 2 === 0
        ? inflate(inflater, gzipSync(message), 'gzip')
        : inflate(inflater, deflateSync(message), 'deflate'),
    );
    expect(await Promise.all(done)).toEqual(plain);
    expect(await inflate(inflater, gzipSync(Buffer.alloc(MAX_BYTES)), 'gzip')).toEqual(Buffer.alloc(MAX_BYTES));
  });

  test('stops a bomb at the limit, a hundred at a time', async () => {
    const inflater = new Inflater();
    const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
    const before = process.memoryUsage.rss();
    const done = await Promise.all(Array.from({ length: 100 }, () => inflate(inflater, bomb, 'gzip')));
    for (const failure of done) expect(failure).toMatchObject({ reason: 'limit_exceeded' });
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 1024 * 1024);
  });

  test.each([
    ['garbage', Buffer.from('not gzip at all')],
    ['nothing', Buffer.alloc(0)],
    ['half of it', gzipSync(Buffer.alloc(1_000)).subarray(0, 15)],
    [
      'a wrong checksum',
      Buffer.from(
        gzipSync(Buffer.alloc(1_000)).map((byte, index, all) => (index === all.length - 8 ? byte ^ 1 : byte)),
      ),
    ],
    ['bytes behind its end', Buffer.concat([gzipSync(Buffer.alloc(1_000)), Buffer.alloc(5)])],
  ])('calls %s malformed', async (_, message) => {
    const failure = await inflate(new Inflater(), message, 'gzip');
    expect(failure).toBeInstanceOf(InferError);
    expect(failure).toMatchObject({ reason: 'malformed_message' });
  });

  test('does not hold what nobody waits for until its turn comes', async () => {
    const inflater = new Inflater();
    const busy = Array.from({ length: 8 }, () => inflate(inflater, gzipSync(Buffer.alloc(MAX_BYTES)), 'gzip'));
    collectGarbage();
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 50; count++) {
      inflater.inflate(Buffer.allocUnsafeSlow(1024 * 1024), 'gzip', BOUNDS, () => undefined)();
    }
    collectGarbage();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * 1024 * 1024);
    await Promise.all(busy);
  });

  test('does not tell who has gone, and skips what nobody waits for', async () => {
    const inflater = new Inflater();
    const message = gzipSync(Buffer.alloc(50_000));
    let told = 0;
    const leave = Array.from({ length: 20 }, () => inflater.inflate(message, 'gzip', BOUNDS, () => told++));
    for (const each of leave) each();
    await inflate(inflater, message, 'gzip');
    expect(told).toBe(0);
  });
});
