import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageReader } from '../../../../src/gateway/accept/grpc/message-reader.ts';
import { MessageLimit } from '../../../../src/gateway/accept/message-limit.ts';
import { ByteBudget } from '../../../../src/http2/byte-budget.ts';
import { grpcMessage, uint32 } from '../../../http2/raw-frames.ts';

function read(
  bytes: Buffer,
  cuts: readonly number[],
  { maxBytes = 10_000, limit = 20_000, acceptsCompressed = true } = {},
): { messages: Buffer[]; reader: MessageReader; budget: ByteBudget } {
  const messages: Buffer[] = [];
  const budget = new ByteBudget(limit, 'maxIncomingBytes');
  const reader = new MessageReader(
    {
      takeMessage: (message, _, heldBytes) => {
        messages.push(message);
        budget.give(heldBytes);
      },
    },
    {
      tryTake: (size, claim) => budget.tryTake(size, claim),
      give: (size) => budget.give(size),
      keepChunk: () => undefined,
    },
    new MessageLimit('/t/Echo', { kind: 'unary', handle: () => undefined }, maxBytes),
    acceptsCompressed,
  );
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const length = cuts[index % cuts.length] ?? 1;
    const chunk = Buffer.concat([Buffer.alloc(3), bytes.subarray(at, at + length), Buffer.alloc(3)]);
    reader.read(chunk, 3, chunk.length - 3);
    at += length;
  }
  return { messages, reader, budget };
}

describe('a body', () => {
  test('has the same messages however it is cut', () => {
    const sent = fc.array(fc.uint8Array({ maxLength: 500 }), { maxLength: 10 });
    const cuts = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(sent, cuts, (all, lengths) => {
        const { messages, reader, budget } = read(Buffer.concat(all.map((message) => grpcMessage(message))), lengths);
        expect(messages.map((message) => Buffer.from(message))).toEqual(all.map((message) => Buffer.from(message)));
        expect(reader.isInside).toBe(false);
        expect(budget.used).toBe(0);
      }),
    );
  });

  test('that ends inside a message says so, and gives back what it held', () => {
    const { reader, budget } = read(grpcMessage(Buffer.alloc(1_000)).subarray(0, 600), [100]);
    expect([reader.isInside, reader.missingBytes, budget.used]).toEqual([true, 405, 1_000]);
    reader.close();
    expect(budget.used).toBe(0);
  });

  test.each([
    ['longer than the limit', Buffer.concat([Buffer.from([0]), uint32(10_001)]), 'limit_exceeded'],
    ['as long as a length can be', Buffer.concat([Buffer.from([0]), uint32(2 ** 32 - 1)]), 'limit_exceeded'],
    ['of flag 2', grpcMessage(Buffer.alloc(1), 2), 'malformed_message'],
    ['of flag 255', grpcMessage(Buffer.alloc(1), 255), 'malformed_message'],
  ])('with a message that is %s is refused at its prefix', (_, bytes, reason) => {
    for (const cut of [1, 5]) {
      expect(() => read(bytes, [cut])).toThrow(expect.objectContaining({ reason }));
    }
  });

  test.each([2, 3, 128, 255])('whose first byte is the flag %i is refused before its length has come', (flag) => {
    expect(() => read(Buffer.from([flag]), [1])).toThrow(expect.objectContaining({ reason: 'malformed_message' }));
  });

  test('that is compressed although no encoding was named is refused at its first byte', () => {
    expect(() => read(Buffer.from([1]), [1], { acceptsCompressed: false })).toThrow(
      expect.objectContaining({ reason: 'malformed_message' }),
    );
    expect(read(Buffer.from([1]), [1]).reader.isInside).toBe(true);
  });

  test('whose flag and length are both wrong is malformed, whatever the length says', () => {
    for (const cut of [1, 5]) {
      expect(() => read(Buffer.from('GET / HTTP/1.1\r\n\r\n'), [cut])).toThrow(
        expect.objectContaining({ reason: 'malformed_message' }),
      );
    }
  });

  test('takes the announced room while half of it is free, and otherwise what has come', () => {
    const announced = Buffer.concat([Buffer.from([0]), uint32(9_000), Buffer.alloc(10)]);
    expect(read(announced, [100], { limit: 18_000 }).budget.used).toBe(9_000);
    expect(read(announced, [100], { limit: 17_999 }).budget.used).toBe(10);
  });

  test('that outgrows its room is refused then', () => {
    const message = grpcMessage(Buffer.alloc(9_000));
    expect(read(message, [1_000], { limit: 9_000 }).messages).toHaveLength(1);
    expect(() => read(message, [1_000], { limit: 8_999 })).toThrow(expect.objectContaining({ reason: 'queue_full' }));
  });

  test('larger than 64 KiB leaves an eighth of the room to small ones', () => {
    const large = grpcMessage(Buffer.alloc(70_000));
    const options = { maxBytes: 100_000, limit: 79_999 };
    expect(() => read(large, [10_000], options)).toThrow(expect.objectContaining({ reason: 'queue_full' }));
    expect(read(large, [10_000], { ...options, limit: 80_000 }).messages).toHaveLength(1);
    const small = grpcMessage(Buffer.alloc(65_536));
    expect(read(small, [10_000], { ...options, limit: 65_536 }).messages).toHaveLength(1);
  });
});
