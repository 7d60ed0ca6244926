/** Bodies of requests as no client of gRPC sends them. */

import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Method } from '../../../../src/gateway/accept/call.ts';
import { MemoryConnection, NOTHING_HELD } from '../../../http2/memory-connection.ts';
import {
  END_STREAM,
  errorOf,
  frame,
  grpcMessage,
  HELLO,
  PADDED,
  request,
  Type,
  uint32,
  unaryRequest,
} from '../../../http2/raw-frames.ts';

const NO_ERROR = 0;
const ENHANCE_YOUR_CALM = 11;
const STATUS = 'grpc-status';
/** The limit of a MemoryConnection. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

let messages: Buffer[] = [];
const keep: Method = {
  kind: 'unary',
  handle(call) {
    messages.push(Buffer.from(call.message));
    call.reply([]);
  },
};

function connect(): MemoryConnection {
  const memory = new MemoryConnection({ '/t/Keep': keep });
  memory.push(HELLO);
  return memory;
}

/** The number of `grpc-status` of a stream, or `undefined` where it has no answer yet. */
function statusOf({ frames }: MemoryConnection, id: number): string | undefined {
  const blocks = frames.filter((one) => one.type === Type.HEADERS && one.id === id);
  const text = blocks.map(({ payload }) => payload.toString('latin1')).join('');
  const at = text.indexOf(STATUS);
  if (at < 0) return undefined;
  // A literal behind its length; OK is an entry of the table after the first time.
  const from = at + STATUS.length + 1;
  return text.slice(from, from + text.charCodeAt(from - 1));
}

beforeEach(() => {
  messages = [];
});

describe('a length prefix', () => {
  test.each([MAX_MESSAGE_BYTES + 1, 2 ** 31, 2 ** 32 - 1])(
    'that says %i bytes is refused before anything is allocated, and the client is asked to stop',
    async (length) => {
      const memory = connect();
      const before = process.memoryUsage().arrayBuffers;
      for (let id = 1; id < 200; id += 2) {
        memory.push(request(id, '/t/Keep'));
        memory.push(frame(Type.DATA, 0, id, Buffer.concat([Buffer.from([0]), uint32(length)])));
      }
      // A stream is over a moment before its answer and its reset are written.
      await expect.poll(() => memory.frames.filter((one) => one.type === Type.RST_STREAM).length).toBe(100);
      for (let id = 1; id < 200; id += 2) {
        expect(statusOf(memory, id)).toBe('8');
        const reset = memory.frames.find((one) => one.type === Type.RST_STREAM && one.id === id);
        expect(reset && errorOf(reset).code).toBe(NO_ERROR);
      }
      // A hundred of them were announced.
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * 1024 * 1024);
      expect(memory.held).toEqual(NOTHING_HELD);
    },
  );

  test.each([
    ['no grpc-encoding', {}],
    ['a grpc-encoding', { 'grpc-encoding': 'gzip' }],
  ])('with any flag but 0 and 1 is INTERNAL, where there is %s', (_, headers) => {
    const memory = new MemoryConnection({ '/t/Keep': keep }, { maxConcurrentStreams: 1_000 });
    memory.push(HELLO);
    for (let flag = 2; flag < 256; flag++) {
      const id = 2 * flag + 1;
      memory.push(request(id, '/t/Keep', headers));
      memory.push(frame(Type.DATA, END_STREAM, id, grpcMessage(Buffer.from('x'), flag)));
      expect(statusOf(memory, id)).toBe('13');
    }
    expect(messages).toHaveLength(0);
    expect(memory.held).toEqual(NOTHING_HELD);
  });
});

describe('a unary call', () => {
  test.each([0, 2, 1_000])('with %i messages is UNIMPLEMENTED, and its method does not run', (count) => {
    const memory = connect();
    memory.push(request(1, '/t/Keep'));
    const body = Buffer.concat(Array(count).fill(grpcMessage(Buffer.from('x'))));
    memory.push(frame(Type.DATA, END_STREAM, 1, body));
    expect(statusOf(memory, 1)).toBe('12');
    expect(messages).toHaveLength(0);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('that is cut anywhere is INTERNAL, or UNIMPLEMENTED where nothing of it came', () => {
    const body = grpcMessage(Buffer.alloc(40, 20));
    for (let length = 0; length < body.length; length++) {
      const memory = connect();
      memory.push(request(1, '/t/Keep'));
      memory.push(frame(Type.DATA, END_STREAM, 1, body.subarray(0, length)));
      expect(statusOf(memory, 1)).toBe(length === 0 ? '12' : '13');
      expect(memory.held).toEqual(NOTHING_HELD);
    }
    expect(messages).toHaveLength(0);
  });

  test('with bytes behind its message that are none is INTERNAL', () => {
    const memory = connect();
    memory.push(request(1, '/t/Keep'));
    const surplus = Buffer.concat([grpcMessage(Buffer.from('x')), Buffer.from([0, 0])]);
    memory.push(frame(Type.DATA, END_STREAM, 1, surplus));
    expect(statusOf(memory, 1)).toBe('13');
    expect(messages).toHaveLength(0);
  });
});

describe('a message', () => {
  type Framing = [what: string, bytes: number, frameOf: (bytes: Buffer) => Buffer];
  const plain = (bytes: Buffer): Buffer => frame(Type.DATA, 0, 1, bytes);
  const padded = (bytes: Buffer): Buffer =>
    frame(Type.DATA, PADDED, 1, Buffer.concat([Buffer.from([255]), bytes, Buffer.alloc(255)]));

  /** Sends `bytes` in frames of `size` bytes, in chunks as a socket has them. @returns the most that was held */
  function send(memory: MemoryConnection, bytes: Buffer, size: number, frameOf: (bytes: Buffer) => Buffer): number {
    let most = 0;
    let frames: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      frames.push(frameOf(bytes.subarray(at, at + size)));
      if (frames.length < 200 && at + size < bytes.length) continue;
      memory.push(Buffer.concat(frames));
      frames = [];
      most = Math.max(most, memory.incoming.used);
    }
    return most;
  }

  test.each<Framing>([
    ['of 256 bytes', 256, plain],
    ['of 256 bytes with as much padding', 256, padded],
    ['of 16,384 bytes', 16_384, plain],
  ])('in frames %s arrives, and holds no more than itself', (_, size, frameOf) => {
    const memory = connect();
    const sent = Buffer.alloc(900_000, 5);
    memory.push(request(1, '/t/Keep'));
    const most = send(memory, grpcMessage(sent), size, frameOf);
    memory.push(frame(Type.DATA, END_STREAM, 1));
    expect(messages).toEqual([sent]);
    expect(most).toBeLessThan(sent.length + 8 * 1024);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test.each<Framing>([
    ['of one byte', 1, plain],
    ['of one byte and 255 of padding', 1, padded],
  ])('in frames %s that does not end soon ends its connection', (_, size, frameOf) => {
    const memory = connect();
    memory.push(request(1, '/t/Keep'));
    const most = send(memory, grpcMessage(Buffer.alloc(256 * 1024)), size, frameOf);
    const goAway = memory.frames.find(({ type }) => type === Type.GOAWAY);
    expect(goAway && errorOf(goAway).code).toBe(ENHANCE_YOUR_CALM);
    expect(most).toBeLessThan(264 * 1024);
    expect(messages).toHaveLength(0);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('that is malformed in its compression ends only its call: 2,000 of them on 20 connections', async () => {
    const good = gzipSync(Buffer.alloc(300, 1));
    const broken = [
      Buffer.from('no gzip'),
      Buffer.alloc(0),
      good.subarray(0, good.length - 3),
      Buffer.concat([good, Buffer.from([1])]),
      good.map((byte, index) => (index === good.length - 6 ? byte ^ 1 : byte)),
    ];
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const memory = connect();
        for (let index = 0; index < 100; index++) {
          const id = 2 * index + 1;
          memory.push(request(id, '/t/Keep', { 'grpc-encoding': 'gzip' }));
          const message = index === 50 ? good : (broken[index % broken.length] ?? good);
          memory.push(frame(Type.DATA, END_STREAM, id, grpcMessage(message, 1)));
        }
        while (memory.connection.streams.size > 0) await new Promise(setImmediate);
        memory.connection.flush();
        const statuses = Array.from({ length: 100 }, (_, index) => statusOf(memory, 2 * index + 1));
        expect(statuses).toEqual(statuses.map((_, index) => (index === 50 ? '0' : '13')));
        memory.push(unaryRequest(1_001, '/t/Keep', Buffer.from('alive')));
        expect(memory.held).toEqual(NOTHING_HELD);
      }),
    );
    expect(messages).toHaveLength(40);
  });
});
