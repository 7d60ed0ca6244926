/** No peer can use up the room for requests: what stands still ends, and the peer that holds most gives way. */

import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { Method } from '../../src/gateway/accept/call.ts';
import type { Http2Limits } from '../../src/http2/limits.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { MemoryConnection, type MemoryOptions, NOTHING_HELD } from './memory-connection.ts';
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
  uint32,
  unaryRequest,
} from './raw-frames.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GRACE_S = 5;
const OK = '0';
const RESOURCE_EXHAUSTED = '8';

const METHODS: Readonly<Record<string, Method>> = {
  '/t/Echo': { kind: 'unary', handle: (call) => call.reply([Buffer.from(String(call.message.length))]) },
  '/t/Health': { kind: 'unary', maxMessageBytes: KIB, handle: (call) => call.reply([call.message]) },
  '/t/Paused': { kind: 'streaming', handle: (call) => call.pause() },
  '/t/Open': { kind: 'streaming', handle: (call) => (call.onMessage = () => undefined) },
};

/** Budgets of 8 MiB a connection, 16 MiB in all. */
const LIMITS: Partial<Http2Limits> = { maxIncomingBytes: 8 * MIB, maxIncomingBytesInAll: 16 * MIB };

function connect(options: MemoryOptions = {}): MemoryConnection {
  const memory = new MemoryConnection(METHODS, {
    maxConcurrentStreams: 1_000,
    ...options,
    limits: { ...LIMITS, ...options.limits },
  });
  memory.push(HELLO);
  return memory;
}

/** A long deadline, so that nothing ends by it. */
function opening(id: number, path: string, more: Readonly<Record<string, string>> = {}): Buffer {
  return request(id, path, { 'grpc-timeout': '600S', ...more });
}

/** Announces a message and sends the first `sent` bytes of it. */
function begin(memory: MemoryConnection, id: number, length: number, sent: number, path = '/t/Echo'): void {
  memory.push(opening(id, path));
  memory.push(frame(Type.DATA, 0, id, Buffer.concat([Buffer.from([0]), uint32(length)])));
  go(memory, id, sent);
}

function go(memory: MemoryConnection, id: number, bytes: number): void {
  for (let at = 0; at < bytes; at += 16 * KIB) {
    memory.push(frame(Type.DATA, 0, id, Buffer.alloc(Math.min(16 * KIB, bytes - at))));
  }
}

let nextId = 10_001;

/** The status of a call that is sent whole. */
function call(memory: MemoryConnection, path = '/t/Health', bytes = 100): string | undefined {
  nextId += 2;
  memory.push(opening(nextId, path));
  const message = grpcMessage(Buffer.alloc(bytes));
  for (let at = 0; at < message.length; at += 16 * KIB) {
    const isLast = at + 16 * KIB >= message.length;
    memory.push(frame(Type.DATA, isLast ? END_STREAM : 0, nextId, message.subarray(at, at + 16 * KIB)));
  }
  return memory.statuses.get(nextId);
}

function withMetadata(id: number, path: string): Buffer[] {
  const more = Buffer.concat([literal('x-a', 'a'.repeat(15_000)), literal('x-b', 'b'.repeat(15_000))]);
  const block = Buffer.concat([requestBlock(path), more]);
  return [
    frame(Type.HEADERS, 0, id, block.subarray(0, 16_000)),
    frame(Type.CONTINUATION, END_HEADERS, id, block.subarray(16_000)),
  ];
}

/** Each uses up all that a peer gets by one kind of request. */
const HOARDS: [what: string, hoard: (memory: MemoryConnection) => void][] = [
  [
    'messages that are announced and not sent',
    (memory) => {
      for (let id = 1; id < 600; id += 2) begin(memory, id, MIB, 1);
    },
  ],
  [
    'large messages of which all but the end was sent',
    (memory) => {
      for (let id = 1; id < 40; id += 2) begin(memory, id, MIB, MIB - 1);
    },
  ],
  [
    'small messages of which all but the end was sent',
    (memory) => {
      for (let id = 1; id < 400; id += 2) begin(memory, id, 60_000, 59_999);
    },
  ],
  [
    'whole messages of requests that do not end',
    (memory) => {
      for (let id = 1; id < 40; id += 2) begin(memory, id, MIB, MIB);
    },
  ],
  [
    'calls with much metadata and no message',
    (memory) => {
      for (let id = 1; id < 800; id += 2) for (const part of withMetadata(id, '/t/Echo')) memory.push(part);
    },
  ],
  [
    'streams with much metadata and no message',
    (memory) => {
      for (let id = 1; id < 800; id += 2) for (const part of withMetadata(id, '/t/Open')) memory.push(part);
    },
  ],
  [
    'streams that wait to be read',
    (memory) => {
      for (let id = 1; id < 40; id += 2) {
        memory.push(opening(id, '/t/Paused'));
        for (let count = 0; count < 15; count++) go(memory, id, 0);
        for (let count = 0; count < 15; count++) {
          memory.push(frame(Type.DATA, 0, id, grpcMessage(Buffer.alloc(16_000))));
        }
      }
    },
  ],
  [
    'streams with half a message',
    (memory) => {
      for (let id = 1; id < 40; id += 2) begin(memory, id, MIB, MIB / 2, '/t/Open');
    },
  ],
];

test('header blocks that do not end count, and their connections end where a small call needs the room', () => {
  const first = connect({ limits: { maxIncomingBytesInAll: 512 * KIB } });
  const others = Array.from({ length: 30 }, () => connect({ beside: first }));
  const friend = connect({ beside: first, isElsewhere: true });
  for (const memory of others) {
    memory.push(frame(Type.HEADERS, 0, 1, requestBlock('/t/Echo')));
    for (let count = 0; count < 3; count++) memory.push(frame(Type.CONTINUATION, 0, 1, Buffer.alloc(16_000)));
  }
  expect(first.incoming.used).toBeGreaterThan(450 * KIB);
  expect(first.incoming.used).toBeLessThanOrEqual(512 * KIB);
  for (let count = 0; count < 5; count++) expect(call(friend)).toBe(OK);
  expect(others.filter(({ socket }) => socket.writableEnded).length).toBeGreaterThan(15);
  for (const each of [first, friend, ...others]) each.close();
  expect(first.held).toEqual(NOTHING_HELD);
});

describe.each(HOARDS)('a peer that hoards %s', (_, hoard) => {
  test('never has a small call refused: on its own connection, beside it, or from elsewhere', () => {
    const first = connect();
    const hoarders = [first, connect({ beside: first }), connect({ beside: first })];
    const friends = [connect({ beside: first }), connect({ beside: first, isElsewhere: true })];
    for (const memory of hoarders) {
      hoard(memory);
      expect(memory.connection.room.used).toBeLessThanOrEqual(8 * MIB);
      for (const friend of friends) expect(call(friend)).toBe(OK);
    }
    expect(first.incoming.used).toBeLessThanOrEqual(16 * MIB);
    for (const each of [...hoarders, ...friends]) expect(call(each)).toBe(OK);
    for (const each of [...hoarders, ...friends]) each.close();
    expect(first.held).toEqual(NOTHING_HELD);
  });

  test('does not keep a message of 256 KiB from another address out', () => {
    const first = connect();
    const more = [connect({ beside: first }), connect({ beside: first })];
    const friend = connect({ beside: first, isElsewhere: true });
    for (const memory of [first, ...more]) hoard(memory);
    for (let count = 0; count < 5; count++) expect(call(friend, '/t/Echo', 256 * KIB)).toBe(OK);
  });
});

describe('a request that stands still', () => {
  test.each([
    [
      'inside the prefix of its message',
      (memory: MemoryConnection) => memory.push(frame(Type.DATA, 0, 1, Buffer.alloc(3))),
    ],
    [
      'behind the prefix',
      (memory: MemoryConnection) => memory.push(frame(Type.DATA, 0, 1, Buffer.from([0, 0, 15, 0, 0]))),
    ],
    [
      'inside its message',
      (memory: MemoryConnection) =>
        memory.push(frame(Type.DATA, 0, 1, grpcMessage(Buffer.alloc(9_000)).subarray(0, 8_000))),
    ],
    [
      'behind its message',
      (memory: MemoryConnection) => memory.push(frame(Type.DATA, 0, 1, grpcMessage(Buffer.alloc(9_000)))),
    ],
    ['before its message', () => undefined],
  ])('%s ends within seconds whatever its deadline, and gives its room back', (_, send) => {
    const memory = connect();
    memory.push(opening(1, '/t/Echo'));
    send(memory);
    for (let second = 0; second < GRACE_S; second++) memory.passSecond();
    expect(memory.statuses.get(1)).toBeUndefined();
    memory.passSecond();
    expect(memory.statuses.get(1)).toBe(RESOURCE_EXHAUSTED);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('ends at the same time where its message is as long as may be', () => {
    const memory = connect();
    begin(memory, 1, MIB, 600 * KIB);
    for (let second = 0; second <= GRACE_S; second++) memory.passSecond();
    expect(memory.statuses.get(1)).toBe(RESOURCE_EXHAUSTED);
    expect(memory.sent.includes('http2MinBytesPerSecond')).toBe(true);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('gives the memory of half a message back at once', () => {
    const memory = connect({ limits: { maxIncomingBytes: 512 * MIB, maxIncomingBytesInAll: 512 * MIB } });
    // Garbage of other tests would be freed meanwhile.
    collectGarbage();
    const before = process.memoryUsage().arrayBuffers;
    for (let id = 1; id < 400; id += 2) begin(memory, id, MIB, 1);
    expect(process.memoryUsage().arrayBuffers - before).toBeGreaterThan(100 * MIB);
    for (let second = 0; second <= GRACE_S; second++) memory.passSecond();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * MIB);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('for less than the grace, again and again, goes on', () => {
    const memory = connect();
    begin(memory, 1, MIB, 1);
    for (let round = 0; round < 10; round++) {
      for (let second = 0; second < GRACE_S - 1; second++) memory.passSecond();
      go(memory, 1, 100 * KIB);
    }
    expect(memory.statuses.get(1)).toBeUndefined();
    go(memory, 1, MIB - 1 - 1_000 * KIB);
    memory.push(frame(Type.DATA, END_STREAM, 1));
    expect(memory.statuses.get(1)).toBe(OK);
  });

  test('at the slowest pace goes on, and a little below it ends', () => {
    for (const [bytes, status] of [
      [16 * KIB, undefined],
      [12 * KIB, RESOURCE_EXHAUSTED],
    ] as const) {
      const memory = connect();
      begin(memory, 1, MIB, 1);
      for (let second = 0; second < 30; second++) {
        go(memory, 1, bytes);
        memory.passSecond();
      }
      expect(memory.statuses.get(1)).toBe(status);
    }
  });

  test('is not blamed for a pause of the server', () => {
    const memory = connect();
    begin(memory, 1, MIB, 1);
    memory.passSecond();
    memory.now += 60_000;
    memory.connection.upkeep();
    expect(memory.statuses.get(1)).toBeUndefined();
  });

  test('is not one where a stream has no message under way, or the server does not let it come', () => {
    const memory = connect({ limits: { streamWindowBytes: 65_535 } });
    memory.push(opening(1, '/t/Open'));
    memory.push(opening(3, '/t/Open'));
    memory.push(frame(Type.DATA, 0, 3, grpcMessage(Buffer.alloc(10))));
    memory.push(opening(5, '/t/Paused'));
    memory.push(frame(Type.DATA, 0, 5, grpcMessage(Buffer.alloc(10))));
    const second = grpcMessage(Buffer.alloc(100_000));
    for (let at = 0; at < 65_535 - 15; at += 16 * KIB) {
      memory.push(frame(Type.DATA, 0, 5, second.subarray(at, Math.min(at + 16 * KIB, 65_535 - 15))));
    }
    for (let count = 0; count < 60; count++) memory.passSecond();
    expect(memory.statuses.size).toBe(0);
  });
});

describe('where room runs out', () => {
  test('the request that has stood still for longest gives way to a small call, and those that come are kept', () => {
    const memory = connect();
    for (let id = 1; id < 10; id += 2) begin(memory, id, MIB, 500 * KIB);
    for (let second = 0; second < 3; second++) {
      for (let id = 3; id < 10; id += 2) go(memory, id, 100 * KIB);
      memory.passSecond();
    }
    // The rest of the connection's room goes to small requests, until one more does not fit.
    for (let id = 101; memory.statuses.size === 0; id += 2) begin(memory, id, 60_000, 59_999);
    expect([...memory.statuses]).toEqual([[1, RESOURCE_EXHAUSTED]]);
  });

  test('a large message ends nothing of a connection that does not hold twice as much', () => {
    const first = connect();
    const second = connect({ beside: first });
    const third = connect({ beside: first });
    for (const memory of [first, second]) for (let id = 1; id < 15; id += 2) begin(memory, id, MIB, 900 * KIB);
    // The rest of the total goes to the third, which holds nothing yet.
    begin(third, 1, MIB, MIB - 1);
    expect(third.statuses.size).toBe(0);
    for (let id = 3; id < 31; id += 2) begin(third, id, MIB, MIB - 1);
    const ended = [first, second].map(({ statuses }) => statuses.size);
    expect(third.statuses.size).toBeGreaterThan(0);
    expect(Math.max(...ended)).toBeLessThan(5);
    for (const text of [third.sent.toString('latin1')]) {
      expect(text).toContain('http2MaxIncomingBytesInAll');
      expect(text).toContain('grpc-retry-pushback-ms');
    }
  });

  test('a message that is inflated is counted while it grows, and ends where it finds no room', async () => {
    const memory = connect({ limits: { maxIncomingBytes: 600 * KIB } });
    memory.push(opening(1, '/t/Echo', { 'grpc-encoding': 'gzip' }));
    memory.push(frame(Type.DATA, END_STREAM, 1, grpcMessage(gzipSync(Buffer.alloc(MIB)), 1)));
    while (memory.connection.streams.size > 0) await new Promise(setImmediate);
    memory.connection.flush();
    expect(memory.statuses.get(1)).toBe(RESOURCE_EXHAUSTED);
    expect(memory.sent.includes('http2MaxIncomingBytes')).toBe(true);
    expect(memory.held).toEqual(NOTHING_HELD);
    memory.push(unaryRequest(3, '/t/Echo', Buffer.alloc(10)));
    expect(memory.statuses.get(3)).toBe(OK);
  });
});

test('requests that are no gRPC hold their room until they are over, and are answered at once where there is none', () => {
  const memory = connect({ limits: { maxIncomingBytes: 256 * KIB, maxIncomingBytesInAll: 256 * KIB } });
  const block = Buffer.concat([
    Buffer.from([0x83, 0x86]),
    literal(':path', '/x'),
    literal('content-type', 'text/html'),
  ]);
  for (let id = 1; id < 800; id += 2) memory.push(frame(Type.HEADERS, END_HEADERS, id, block));
  expect(memory.incoming.used).toBeGreaterThan(200 * KIB);
  expect(memory.incoming.used).toBeLessThanOrEqual(256 * KIB);
  expect(memory.connection.streams.size).toBeLessThan(150);
  expect(call(memory)).toBe(OK);
  memory.close();
  expect(memory.held).toEqual(NOTHING_HELD);
});
