/** All that a peer can make the server hold of its requests is in a budget: metadata, messages, chunks, and objects. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { Method, StreamingCall } from '../../src/gateway/accept/call.ts';
import type { Http2Limits } from '../../src/http2/limits.ts';
import { MemoryConnection, NOTHING_HELD } from './memory-connection.ts';
import {
  END_HEADERS,
  END_STREAM,
  frame,
  grpcMessage,
  HELLO,
  literal,
  request,
  requestBlock,
  Type,
  unaryRequest,
} from './raw-frames.ts';

const MIB = 1024 * 1024;
const RESOURCE_EXHAUSTED = 'grpc-status\x018';

const calls: StreamingCall[] = [];
const METHODS: Readonly<Record<string, Method>> = {
  '/t/Echo': { kind: 'unary', handle: (call) => call.reply([call.message]) },
  '/t/Never': { kind: 'unary', handle: () => undefined },
  '/t/Paused': {
    kind: 'streaming',
    handle(call) {
      calls.push(call);
      call.pause();
    },
  },
};

function connect(limits: Partial<Http2Limits> = {}): MemoryConnection {
  calls.length = 0;
  const memory = new MemoryConnection(METHODS, { limits });
  memory.push(HELLO);
  return memory;
}

/** As a chunk of a socket comes: with a buffer of its own. */
function chunk(...frames: Buffer[]): Buffer {
  const bytes = Buffer.concat(frames);
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}

/** DATA frames of 16 KB with as many of these messages as fit, up to a MiB: the window of a stream. */
function windowful(id: number, message: Buffer): Buffer[] {
  const count = Math.floor(16_384 / message.length);
  const body = Buffer.concat(Array(count).fill(message));
  return Array.from({ length: Math.floor(MIB / body.length) }, () => chunk(frame(Type.DATA, 0, id, body)));
}

function refusals({ frames }: MemoryConnection): number {
  return frames.filter(({ type, payload }) => type === Type.HEADERS && payload.includes(RESOURCE_EXHAUSTED)).length;
}

describe('what waits for a call that is paused', () => {
  test.each([0, 1])(
    'messages of %i bytes count with their objects: a connection holds no more than its budget',
    (size) => {
      const memory = connect({ maxIncomingBytes: 60 * MIB });
      for (let id = 1; id < 20; id += 2) {
        memory.push(request(id, '/t/Paused'));
        for (const each of windowful(id, grpcMessage(Buffer.alloc(size)))) memory.push(each);
      }
      expect(memory.incoming.used).toBeLessThanOrEqual(60 * MIB);
      // A MiB of them holds some 50 MiB.
      expect(memory.connection.streams.size).toBeLessThan(3);
      expect(refusals(memory)).toBeGreaterThanOrEqual(8);
      memory.close();
      expect(memory.held).toEqual(NOTHING_HELD);
    },
  );

  test('a small message does not keep the chunk alive that it came in', () => {
    const memory = connect();
    memory.push(request(1, '/t/Paused'));
    // A refused stream, whose DATA is ignored.
    memory.push(request(3, '/t/Unknown'));
    const seen: Uint8Array[] = [];
    const [call] = calls;
    if (call !== undefined) call.onMessage = (message) => seen.push(message);
    for (let count = 0; count < 100; count++) {
      memory.push(
        chunk(frame(Type.DATA, 0, 1, grpcMessage(Buffer.from('x'))), frame(Type.DATA, 0, 3, Buffer.alloc(16_384))),
      );
    }
    call?.resume();
    expect(seen).toHaveLength(100);
    for (const message of seen) expect(message.buffer.byteLength).toBe(1);
  });

  test('a large one stays the view that it is', async () => {
    const memory = connect();
    memory.push(request(1, '/t/Paused'));
    const sent = chunk(frame(Type.DATA, 0, 1, grpcMessage(Buffer.alloc(10_000, 3))));
    memory.push(sent);
    const seen: Uint8Array[] = [];
    const [call] = calls;
    if (call !== undefined) call.onMessage = (message) => seen.push(message);
    call?.resume();
    while (seen.length === 0) await nextTurn();
    expect(seen[0]?.buffer).toBe(sent.buffer);
  });

  test('200,000 messages are handed on without going over all of them for each', async () => {
    const memory = connect();
    memory.push(request(1, '/t/Paused'));
    for (const each of windowful(1, grpcMessage(Buffer.alloc(0)))) memory.push(each);
    const order: number[] = [];
    const [call] = calls;
    if (call !== undefined) call.onMessage = () => order.push(order.length);
    const shift = Array.prototype.shift;
    let shifted = 0;
    // The price of what this must not use grows with what waits.
    Array.prototype.shift = function (this: unknown[]) {
      shifted += this.length;
      return shift.call(this);
    };
    try {
      call?.resume();
      while (order.length <= 200_000) await nextTurn();
    } finally {
      Array.prototype.shift = shift;
    }
    expect(order.length).toBeGreaterThan(200_000);
    expect(shifted).toBeLessThan(1_000);
  });

  test('counts inflated bytes at their full size, and gives them back', async () => {
    const memory = connect();
    memory.push(request(1, '/t/Paused', { 'grpc-encoding': 'gzip' }));
    const seen = Promise.withResolvers<number>();
    const [call] = calls;
    if (call !== undefined) {
      call.onMessage = (message) => {
        call.pause();
        seen.resolve(message.length);
      };
    }
    const before = memory.incoming.used;
    memory.push(frame(Type.DATA, 0, 1, grpcMessage(gzipSync(Buffer.alloc(100_000)), 1)));
    memory.push(frame(Type.DATA, 0, 1, grpcMessage(gzipSync(Buffer.alloc(100_000)), 1)));
    call?.resume();
    expect(await seen.promise).toBe(100_000);
    expect(memory.incoming.used - before).toBeLessThan(1_000);
    memory.close();
    expect(memory.held).toEqual(NOTHING_HELD);
  });
});

describe('what a request holds before its method has it', () => {
  test('a message that is complete, of a request that is not, counts with the chunk that it is a view of', () => {
    const memory = connect({ maxIncomingBytes: 200_000 });
    for (let id = 1; id < 40; id += 2) {
      // A message of one byte, and 16 KB that are ignored.
      memory.push(
        chunk(
          request(id, '/t/Echo'),
          frame(Type.DATA, 0, id, grpcMessage(Buffer.alloc(1))),
          frame(0x42, 0, 0, Buffer.alloc(16_000)),
        ),
      );
    }
    expect(memory.incoming.used).toBeGreaterThan(180_000);
    expect(memory.incoming.used).toBeLessThanOrEqual(200_000);
    expect(refusals(memory)).toBe(20 - memory.connection.streams.size);
    expect(memory.connection.streams.size).toBe(10);
    for (let id = 1; id < 40; id += 2) memory.push(frame(Type.RST_STREAM, 0, id, Buffer.alloc(4)));
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('metadata counts, from the headers to the end of the call', () => {
    const memory = connect({ maxIncomingBytes: 200_000 });
    const more = Buffer.concat([literal('x-a', 'a'.repeat(15_000)), literal('x-b', 'b'.repeat(15_000))]);
    for (let id = 1; id < 40; id += 2) {
      const block = Buffer.concat([requestBlock('/t/Never'), more]);
      memory.push(frame(Type.HEADERS, 0, id, block.subarray(0, 16_000)));
      memory.push(frame(Type.CONTINUATION, END_HEADERS, id, block.subarray(16_000)));
    }
    expect(memory.connection.streams.size).toBe(6);
    expect(refusals(memory)).toBe(14);
    // Each that came later had the one end that held most.
    for (let id = 1; id < 40; id += 2) memory.push(frame(Type.RST_STREAM, 0, id, Buffer.alloc(4)));
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('a call without anything has a price, too: streams are bounded over all connections', () => {
    const memory = connect({ maxIncomingBytes: 100_000 });
    for (let id = 1; id < 200; id += 2) memory.push(request(id, '/t/Never'));
    expect(memory.connection.streams.size).toBeGreaterThan(20);
    expect(memory.connection.streams.size).toBeLessThan(50);
    memory.close();
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('a call that was answered holds nothing', () => {
    const memory = connect();
    for (let id = 1; id < 200; id += 2) memory.push(unaryRequest(id, '/t/Echo', Buffer.alloc(100)));
    expect(memory.held).toEqual(NOTHING_HELD);
    const ended = memory.frames.filter(({ type, flags }) => type === Type.HEADERS && (flags & END_STREAM) !== 0);
    expect(ended).toHaveLength(100);
  });
});

describe('a chunk', () => {
  const half = (id: number): Buffer =>
    chunk(
      request(id, '/t/Echo'),
      frame(Type.DATA, 0, id, grpcMessage(Buffer.alloc(20_000)).subarray(0, 16_384)),
      frame(0x42, 0, 0, Buffer.alloc(16_000)),
    );

  test('that nothing is a view of is freed as soon as it was read', () => {
    const memory = connect();
    const copied = half(1);
    memory.push(copied);
    expect(copied).toHaveLength(0);
    const refused = chunk(request(3, '/t/Unknown'), frame(Type.DATA, 0, 3, Buffer.alloc(16_384)));
    memory.push(refused);
    expect(refused).toHaveLength(0);
  });

  test.each(['/t/Echo', '/t/Paused'])('that a message of %s is a view of stays, whatever comes with it', (path) => {
    const memory = connect();
    const whole = frame(Type.DATA, 0, 1, grpcMessage(Buffer.alloc(16_000, 'x')));
    const sent = chunk(request(1, path), whole, half(3));
    const { length } = sent;
    memory.push(sent);
    expect(sent).toHaveLength(length);
    expect(sent.includes('xxxx')).toBe(true);
  });
});

describe('a message that is discarded', () => {
  /** Pushes one request of 1,000 bytes in two chunks that part at `cut`, and gives the rest of its message afterwards. */
  function leftAfter(cut: number): Uint8Array {
    let message = new Uint8Array();
    const discard: Method = {
      kind: 'unary',
      handle(call) {
        message = call.message as Uint8Array<ArrayBuffer>;
        call.reply([Buffer.from(message)]);
        call.discardMessage();
        expect(call.message).toHaveLength(0);
      },
    };
    const memory = new MemoryConnection({ '/t/Discard': discard });
    memory.push(HELLO);
    const bytes = unaryRequest(1, '/t/Discard', Buffer.alloc(1_000, 'x'));
    memory.push(chunk(bytes.subarray(0, cut)));
    if (cut < bytes.length) memory.push(chunk(bytes.subarray(cut)));
    const answer = Buffer.concat(memory.frames.filter(({ type }) => type === Type.DATA).map(({ payload }) => payload));
    expect(answer).toEqual(grpcMessage(Buffer.alloc(1_000, 'x')));
    return message;
  }

  test('gives a buffer of its own back at once', () => {
    const size = unaryRequest(1, '/t/Discard', Buffer.alloc(1_000)).length;
    expect(leftAfter(size - 500)).toHaveLength(0);
  });

  test('keeps a chunk that also holds other messages', () => {
    expect(leftAfter(Number.POSITIVE_INFINITY)).toHaveLength(1_000);
  });

  test('frees a large chunk with it, once no message that came in the chunk is needed', () => {
    const discard: Method = { kind: 'unary', handle: (call) => call.discardMessage() };
    const keep: Method = { kind: 'unary', handle: () => undefined };
    const leftOf = (...paths: readonly string[]): number => {
      const memory = new MemoryConnection({ '/t/Discard': discard, '/t/Keep': keep });
      memory.push(HELLO);
      const requests = paths.map((path, index) => unaryRequest(2 * index + 1, path, Buffer.alloc(16_000, 'x')));
      const sent = chunk(...requests);
      memory.push(sent);
      return sent.length;
    };
    expect(leftOf('/t/Discard', '/t/Discard')).toBe(0);
    expect(leftOf('/t/Discard', '/t/Keep')).toBeGreaterThan(32_000);
    expect(leftOf('/t/Keep', '/t/Discard')).toBeGreaterThan(32_000);
  });
});
