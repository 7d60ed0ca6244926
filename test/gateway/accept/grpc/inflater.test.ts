import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { Inflater } from '../../../../src/gateway/accept/grpc/inflater.ts';
import { MessageLimit } from '../../../../src/gateway/accept/message-limit.ts';
import { InferError } from '../../../../src/gateway/errors.ts';
import { collectGarbage } from '../../../support/collect-garbage.ts';

const MAX_BYTES = 100_000;
const limitless = { kind: 'unary', handle: () => undefined } as const;
const limit = new MessageLimit('/t/Echo', limitless, MAX_BYTES);
const TERMS = { owner: {}, limit, hold: () => undefined };

function inflate(inflater: Inflater, message: Buffer, encoding: 'gzip' | 'deflate'): Promise<Buffer | InferError> {
  return new Promise((resolve) => inflater.inflate(message, encoding, TERMS, resolve));
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

  test('does not hold what no one waits for while it is queued', async () => {
    const inflater = new Inflater();
    const busy = Array.from({ length: 8 }, () => inflate(inflater, gzipSync(Buffer.alloc(MAX_BYTES)), 'gzip'));
    collectGarbage();
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 50; count++) {
      inflater.inflate(Buffer.allocUnsafeSlow(1024 * 1024), 'gzip', TERMS, () => undefined)();
    }
    collectGarbage();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * 1024 * 1024);
    await Promise.all(busy);
  });

  test('does not call back a cancelled caller, and skips work that no one waits for', async () => {
    const inflater = new Inflater();
    const message = gzipSync(Buffer.alloc(50_000));
    let calls = 0;
    const leave = Array.from({ length: 20 }, () => inflater.inflate(message, 'gzip', TERMS, () => calls++));
    for (const each of leave) each();
    await inflate(inflater, message, 'gzip');
    expect(calls).toBe(0);
  });

  test('serves owners round-robin, however many messages another one has sent', async () => {
    const inflater = new Inflater();
    const order: string[] = [];
    const message = gzipSync(Buffer.alloc(50_000));
    const inflateFor = (owner: object, name: string): Promise<void> =>
      new Promise((resolve) => {
        inflater.inflate(message, 'gzip', { ...TERMS, owner }, () => {
          order.push(name);
          resolve();
        });
      });
    const [greedy, modest] = [{}, {}];
    const all = Array.from({ length: 100 }, () => inflateFor(greedy, 'greedy'));
    all.push(inflateFor(modest, 'modest'));
    await Promise.all(all);
    // Four run already, and the greedy one may have been served before.
    expect(order.indexOf('modest')).toBeLessThan(12);
    expect(order).toHaveLength(101);
  });

  test('holds what it has inflated so far, and stops where there is no room for more', async () => {
    const inflater = new Inflater();
    let held = 0;
    const hold = (bytes: number, total: number): void => {
      held += bytes;
      expect(total).toBe(held);
      if (held > 1_000_000) throw new InferError('queue_full', 'no room');
    };
    const terms = { owner: {}, limit: new MessageLimit('/t/Echo', limitless, 100_000_000), hold };
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const outcome = await new Promise((resolve) => inflater.inflate(bomb, 'gzip', terms, resolve));
    expect(outcome).toMatchObject({ reason: 'queue_full' });
    expect(held).toBeLessThan(1_200_000);
  });
});
