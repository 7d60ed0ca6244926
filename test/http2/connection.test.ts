import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Method, StreamingCall, UnaryCall } from '../../src/gateway/accept/call.ts';
import { diagnostics, type Notice } from '../../src/gateway/ops/diagnostics.ts';
import { MemoryConnection, NOTHING_HELD } from './memory-connection.ts';
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  frame,
  grpcMessage,
  literal,
  PADDED,
  PREFACE,
  request,
  requestBlock,
  setting,
  Type,
  uint32,
  unaryRequest,
} from './raw-frames.ts';

const echo: Method = { kind: 'unary', handle: (call) => call.reply([call.message]) };
const streamEcho: Method = {
  kind: 'streaming',
  handle(call) {
    call.onMessage = (message) => call.write([message]);
    call.onEnd = () => call.end();
  },
};
const METHODS = { '/t/Echo': echo, '/t/Stream': streamEcho };
const HELLO: Buffer = Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0)]);
const ENHANCE_YOUR_CALM = 11;

/** What a client may well send: calls of both kinds, cut header blocks, padding, PING, WINDOW_UPDATE. */
function session(): Buffer {
  const parts: Buffer[] = [HELLO];
  for (let id = 1; id < 40; id += 2) {
    const path = id % 4 === 1 ? '/t/Echo' : '/t/Stream';
    const block = requestBlock(path, { 'grpc-timeout': '5S', 'x-text': `value ${id}` });
    const cut = id % 3 === 0 ? 20 : block.length;
    parts.push(frame(Type.HEADERS, cut === block.length ? END_HEADERS : 0, id, block.subarray(0, cut)));
    if (cut < block.length) parts.push(frame(Type.CONTINUATION, END_HEADERS, id, block.subarray(cut)));
    const body = grpcMessage(Buffer.alloc((id * 13) % 300, id));
    const half = body.length >> 1;
    const padded = Buffer.concat([Buffer.from([3]), body.subarray(0, half), Buffer.alloc(3)]);
    parts.push(frame(Type.DATA, PADDED, id, padded), frame(Type.DATA, END_STREAM, id, body.subarray(half)));
    parts.push(frame(Type.PING, 0, 0, Buffer.alloc(8, id)), frame(Type.WINDOW_UPDATE, 0, 0, uint32(100)));
  }
  return Buffer.concat(parts);
}

/** Sends `bytes` in chunks of these lengths, again and again. */
function converse(bytes: Buffer, lengths: readonly number[]): Buffer {
  const memory = new MemoryConnection(METHODS);
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const length = lengths[index % lengths.length] ?? 1;
    // A copy, as of a socket: a view that is kept too long would show.
    memory.push(Buffer.from(bytes.subarray(at, at + length)));
    at += length;
  }
  memory.close();
  expect(memory.held).toEqual(NOTHING_HELD);
  expect(memory.isClosed).toBe(true);
  return memory.sent;
}

describe('bytes', () => {
  const bytes = session();
  const whole = converse(bytes, [bytes.length]);

  test('are answered', () => {
    expect(whole.length).toBeGreaterThan(2_000);
  });

  test('mean the same however they are cut', () => {
    expect(converse(bytes, [1]).equals(whole)).toBe(true);
    const lengths = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(lengths, (cuts) => converse(bytes, cuts).equals(whole)),
      { numRuns: 100 },
    );
  });

  test('that are wrong never throw, nor leave a call, a deadline or a byte behind', () => {
    const notices: Notice[] = [];
    const stop = diagnostics.notice.subscribe((notice) => notices.push(notice));
    const mutation = fc.record({
      end: fc.integer({ min: HELLO.length, max: bytes.length }),
      changes: fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      cuts: fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 }),
    });
    fc.assert(
      fc.property(mutation, ({ end, changes, cuts }) => {
        const mutated = Buffer.from(bytes.subarray(0, end));
        for (const [at, value] of changes) if (at >= PREFACE.length && at < end) mutated[at] = value;
        converse(mutated, cuts);
      }),
      { numRuns: 5_000 },
    );
    stop();
    // A fault of ours would have been caught, and noticed.
    expect(notices).toEqual([]);
  });
});

describe('copies', () => {
  test('a message within one chunk is a view of it, one over several chunks has a buffer of its size', () => {
    const messages: Uint8Array[] = [];
    const memory = new MemoryConnection({
      '/t/Keep': {
        kind: 'unary',
        handle: (call) => {
          messages.push(call.message);
          call.reply([]);
        },
      },
    });
    memory.push(HELLO);
    const chunk = unaryRequest(1, '/t/Keep', Buffer.alloc(1_000, 7));
    memory.push(chunk);
    expect(messages[0]?.buffer).toBe(chunk.buffer);
    const long = unaryRequest(3, '/t/Keep', Buffer.alloc(10_000, 8));
    for (let at = 0; at < long.length; at += 900) memory.push(Buffer.from(long.subarray(at, at + 900)));
    expect(messages[1]?.buffer.byteLength).toBe(10_000);
    expect(messages[1]).toEqual(Buffer.alloc(10_000, 8));
  });

  test('a long answer leaves as the chunks that it is', () => {
    const answer = [Buffer.alloc(20_000, 1), Buffer.alloc(16_384, 2)];
    const memory = new MemoryConnection({ '/t/Long': { kind: 'unary', handle: (call) => call.reply(answer) } });
    memory.push(HELLO);
    const seen: ArrayBufferLike[] = [];
    const write = memory.socket.write.bind(memory.socket);
    memory.socket.write = ((chunk: Buffer) => {
      seen.push(chunk.buffer);
      return write(chunk);
    }) as typeof write;
    memory.push(unaryRequest(1, '/t/Long'));
    for (const chunk of answer) expect(seen).toContain(chunk.buffer);
  });

  test('the answers to what one chunk asks leave in one write', () => {
    const memory = new MemoryConnection(METHODS);
    memory.push(HELLO);
    const before = memory.socket.writes.length;
    memory.push(Buffer.concat([1, 3, 5, 7].map((id) => unaryRequest(id, '/t/Echo', Buffer.from('x')))));
    expect(memory.socket.writes.length - before).toBe(1);
    expect(memory.frames.filter(({ type, flags }) => type === Type.HEADERS && flags & END_STREAM)).toHaveLength(4);
  });

  test('the answers that handlers give in one turn of the event loop leave in one write', async () => {
    const calls: UnaryCall[] = [];
    const memory = new MemoryConnection({ '/t/Later': { kind: 'unary', handle: (call) => calls.push(call) } });
    memory.push(HELLO);
    for (const id of [1, 3, 5]) memory.push(unaryRequest(id, '/t/Later'));
    const before = memory.socket.writes.length;
    for (const call of calls) call.reply([Buffer.from('x')]);
    await new Promise(setImmediate);
    expect(memory.socket.writes.length - before).toBe(1);
  });
});

describe('flow control', () => {
  test('an answer stops at the window of its stream, and goes on when that opens', () => {
    const memory = new MemoryConnection({
      '/t/Long': { kind: 'unary', handle: (call) => call.reply([Buffer.alloc(50_000)]) },
    });
    memory.push(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0, setting(4, 1_000))]));
    memory.push(unaryRequest(1, '/t/Long'));
    expect(dataBytes(memory)).toBe(1_000);
    memory.push(frame(Type.WINDOW_UPDATE, 0, 1, uint32(5_000)));
    expect(dataBytes(memory)).toBe(6_000);
    // RFC 9113, section 6.9.2: a smaller initial window makes the window of a stream negative.
    memory.push(frame(Type.SETTINGS, 0, 0, setting(4, 0)));
    memory.push(frame(Type.WINDOW_UPDATE, 0, 1, uint32(1_000)));
    expect(dataBytes(memory)).toBe(6_000);
    memory.push(frame(Type.SETTINGS, 0, 0, setting(4, 1_000_000)));
    expect(dataBytes(memory)).toBe(50_005);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('streams are served round-robin: a short answer does not wait for a long one', async () => {
    const lengths = [2_000_000, 100_000];
    const memory = new MemoryConnection({
      '/t/Any': { kind: 'unary', handle: (call) => call.reply([Buffer.alloc(lengths[call.message.length] ?? 0)]) },
    });
    memory.push(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0, setting(4, 10_000_000))]));
    memory.push(frame(Type.WINDOW_UPDATE, 0, 0, uint32(10_000_000)));
    memory.push(Buffer.concat([unaryRequest(1, '/t/Any'), unaryRequest(3, '/t/Any', Buffer.alloc(1))]));
    const ends = (): number[] =>
      memory.frames.filter(({ type, flags }) => type === Type.HEADERS && flags & END_STREAM).map(({ id }) => id);
    while (ends().length < 2) await new Promise(setImmediate);
    expect(ends()).toEqual([3, 1]);
  });

  test('the window of a stream grows with its message, and not for a call that is paused', () => {
    let call: StreamingCall | undefined;
    const memory = new MemoryConnection(
      {
        '/t/Echo': echo,
        '/t/Paused': {
          kind: 'streaming',
          handle: (started) => {
            call = started;
            started.pause();
          },
        },
      },
      { limits: { streamWindowBytes: 65_535 } },
    );
    memory.push(HELLO);
    const opened = (id: number): number =>
      memory.frames
        .filter((one) => one.type === Type.WINDOW_UPDATE && one.id === id)
        .reduce((sum, { payload }) => sum + payload.readUInt32BE(), 0);
    memory.push(request(1, '/t/Echo'));
    memory.push(frame(Type.DATA, 0, 1, Buffer.concat([Buffer.from([0]), uint32(1_000_000)])));
    expect(opened(1) + 65_535 - 5).toBe(1_000_000);
    memory.push(request(3, '/t/Paused'));
    for (let sent = 0; sent < 60_000; sent += 1_005) {
      memory.push(frame(Type.DATA, 0, 3, grpcMessage(Buffer.alloc(1_000))));
    }
    expect(opened(3)).toBe(0);
    call?.resume();
    memory.connection.flush();
    expect(opened(3)).toBeGreaterThan(30_000);
  });

  test('padding counts, and is given back like what it pads', () => {
    const memory = new MemoryConnection(METHODS, { limits: { connectionWindowBytes: 100_000 } });
    memory.push(HELLO);
    const padded = Buffer.concat([Buffer.from([255]), grpcMessage(Buffer.alloc(0)), Buffer.alloc(255)]);
    memory.push(request(1, '/t/Stream'));
    for (let index = 0; index < 2_000; index++) memory.push(frame(Type.DATA, PADDED, 1, padded));
    expect(memory.frames.some(({ type }) => type === Type.GOAWAY)).toBe(false);
    const echoed = memory.frames.filter(({ type, id }) => type === Type.DATA && id === 1);
    expect(echoed).toHaveLength(2_000);
  });
});

describe('states', () => {
  test('frames that were under way when a stream was reset are ignored', () => {
    const memory = new MemoryConnection({
      '/t/Refuse': { kind: 'streaming', handle: (call) => call.fail(8, 'no') },
    });
    memory.push(HELLO);
    memory.push(request(1, '/t/Refuse'));
    const before = memory.frames.length;
    memory.push(frame(Type.DATA, 0, 1, Buffer.alloc(100)));
    memory.push(frame(Type.HEADERS, END_HEADERS | END_STREAM, 1, literal('x', 'y')));
    expect(memory.frames.slice(before)).toEqual([]);
  });

  test('the header table stays right when blocks are for streams that are refused or reset', () => {
    const heads: (string | Uint8Array | undefined)[] = [];
    const memory = new MemoryConnection(
      {
        '/t/Head': {
          kind: 'streaming',
          handle: (call) => {
            heads.push(call.get('x-a'));
          },
        },
      },
      { maxConcurrentStreams: 1 },
    );
    memory.push(HELLO);
    // A literal that the table takes, and then the reference to it (RFC 7541, section 6.2.1 and 6.1).
    const added = Buffer.concat([Buffer.from([0x40, 3]), Buffer.from('x-a'), Buffer.from([1]), Buffer.from('1')]);
    memory.push(request(1, '/t/Head'));
    memory.push(frame(Type.HEADERS, END_HEADERS, 3, Buffer.concat([requestBlock('/t/Head'), added])));
    memory.push(frame(Type.RST_STREAM, 0, 1, uint32(8)));
    memory.push(
      frame(Type.HEADERS, END_HEADERS, 5, Buffer.concat([requestBlock('/t/Head'), Buffer.from([0x80 | 62])])),
    );
    expect(heads).toEqual([undefined, '1']);
    expect(memory.frames.filter(({ type }) => type === Type.RST_STREAM).map(({ id }) => id)).toEqual([3]);
  });
});

describe('cancellation', () => {
  const calls: (UnaryCall | StreamingCall)[] = [];
  const reasons: string[] = [];
  const note = (call: UnaryCall | StreamingCall): void => {
    calls.push(call);
    call.onCancel = (reason) => reasons.push(reason);
  };
  const methods: Readonly<Record<string, Method>> = {
    '/t/Never': { kind: 'unary', handle: note },
    '/t/Long': { kind: 'unary', handle: (call) => call.reply([Buffer.alloc(100_000)]) },
    '/t/Open': { kind: 'streaming', handle: note },
    '/t/Paused': {
      kind: 'streaming',
      handle: (call) => {
        note(call);
        call.pause();
      },
    },
  };
  const gzip = { 'grpc-encoding': 'gzip' };
  const half = grpcMessage(Buffer.alloc(100)).subarray(0, 50);
  const compressed = grpcMessage(gzipSync(Buffer.alloc(100_000)), 1);

  test.each<[when: string, before: Buffer, notified: number]>([
    ['at the headers', request(1, '/t/Never'), 0],
    ['inside a message', Buffer.concat([request(1, '/t/Never'), frame(Type.DATA, 0, 1, half)]), 0],
    ['behind a message', Buffer.concat([request(1, '/t/Never'), frame(Type.DATA, 0, 1, grpcMessage(half))]), 0],
    [
      'while it is inflated',
      Buffer.concat([request(1, '/t/Never', gzip), frame(Type.DATA, END_STREAM, 1, compressed)]),
      0,
    ],
    ['in the handler', unaryRequest(1, '/t/Never'), 1],
    ['while the answer waits for a window', unaryRequest(1, '/t/Long'), 0],
    ['of a stream', Buffer.concat([request(1, '/t/Open'), frame(Type.DATA, 0, 1, half)]), 1],
    ['of a stream that ended', unaryRequest(1, '/t/Open'), 1],
    ['of a stream that is paused', unaryRequest(1, '/t/Paused', Buffer.alloc(5_000)), 1],
    ['of a stream that inflates', Buffer.concat([request(1, '/t/Open', gzip), frame(Type.DATA, 0, 1, compressed)]), 1],
    ['behind the headers of one that is refused', request(1, '/t/Unknown'), 0],
  ])('%s leaves nothing behind, whether the client cancels or goes', async (_, before, notified) => {
    for (const leave of ['cancel', 'go'] as const) {
      calls.length = 0;
      reasons.length = 0;
      const memory = new MemoryConnection(methods);
      memory.push(HELLO);
      memory.push(before);
      if (leave === 'cancel') memory.push(frame(Type.RST_STREAM, 0, 1, uint32(8)));
      else memory.close();
      expect(memory.held).toEqual(NOTHING_HELD);
      expect(reasons).toEqual(Array(notified).fill(leave === 'cancel' ? 'client' : 'connection'));
      const sentBefore = memory.sent.length;
      for (const call of calls) call.fail(13, 'too late');
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(memory.sent.length).toBe(sentBefore);
      expect(memory.held).toEqual(NOTHING_HELD);
    }
  });
});

describe('upkeep', () => {
  test('a silent peer is asked, and left when it does not answer', () => {
    const memory = new MemoryConnection(METHODS);
    memory.push(HELLO);
    memory.now += 61_000;
    memory.connection.upkeep();
    memory.connection.flush();
    const ping = memory.frames.find(({ type, flags }) => type === Type.PING && (flags & ACK) === 0);
    memory.now += 10_000;
    memory.push(frame(Type.PING, ACK, 0, ping?.payload ?? Buffer.alloc(8)));
    memory.now += 61_000;
    memory.connection.upkeep();
    memory.now += 21_000;
    memory.connection.upkeep();
    expect(memory.socket.destroyed).toBe(true);
  });

  /** Bytes, each in a chunk of its own. */
  const dribbled = (bytes: Buffer): Buffer[] => Array.from(bytes, (byte) => Buffer.from([byte]));
  const continuations = Array.from(Buffer.alloc(30, 0x40), (byte) =>
    frame(Type.CONTINUATION, 0, 1, Buffer.from([byte])),
  );

  test.each([
    ['a frame header', dribbled(Buffer.alloc(30))],
    ['HEADERS', dribbled(request(1, '/t/Echo'))],
    ['SETTINGS', dribbled(frame(Type.SETTINGS, 0, 0, Buffer.alloc(60)))],
    ['a header block of many frames', [frame(Type.HEADERS, 0, 1, requestBlock('/t/Echo')), ...continuations]],
  ])('a peer that begins %s, and sends some more now and then, is sent away', (_, pieces) => {
    const memory = new MemoryConnection(METHODS, { limits: { handshakeMs: 10_000, maxContinuations: 100 } });
    memory.push(HELLO);
    let pushed = 0;
    while (!memory.socket.writableEnded && pushed < pieces.length) {
      memory.push(pieces[pushed++] ?? Buffer.alloc(0));
      memory.now += 2_000;
      memory.connection.upkeep();
    }
    expect(pushed).toBeLessThan(15);
    const goAway = memory.frames.find(({ type }) => type === Type.GOAWAY);
    expect(goAway?.payload.readUInt32BE(4)).toBe(ENHANCE_YOUR_CALM);
  });

  test('a peer whose chunks always end inside a frame is not, as long as its frames do end', () => {
    const memory = new MemoryConnection(METHODS);
    memory.push(HELLO);
    let rest = Buffer.alloc(0);
    for (let id = 1; id < 200; id += 2) {
      const bytes = Buffer.concat([rest, unaryRequest(id, '/t/Echo')]);
      const cut = bytes.length - 20 - (id % 30);
      memory.push(bytes.subarray(0, cut));
      rest = bytes.subarray(cut);
      memory.now += 2_000;
      memory.connection.upkeep();
    }
    memory.push(rest);
    const answers = memory.frames.filter(({ type, flags }) => type === Type.HEADERS && (flags & END_STREAM) !== 0);
    expect(answers).toHaveLength(100);
  });

  test('an old connection is sent GOAWAY in two steps, and closed after its last call', async () => {
    const calls: UnaryCall[] = [];
    const memory = new MemoryConnection({ '/t/Later': { kind: 'unary', handle: (call) => calls.push(call) } });
    memory.push(HELLO);
    memory.push(unaryRequest(1, '/t/Later'));
    memory.now += 70 * 60_000;
    memory.push(frame(Type.PING, 0, 0, Buffer.alloc(8)));
    memory.connection.upkeep();
    // A request that was under way is still taken.
    memory.push(unaryRequest(3, '/t/Later'));
    memory.push(frame(Type.PING, ACK, 0, Buffer.alloc(8)));
    memory.push(unaryRequest(5, '/t/Later'));
    const goAways = memory.frames.filter(({ type }) => type === Type.GOAWAY);
    expect(goAways.map(({ payload }) => payload.readUInt32BE(0))).toEqual([2 ** 31 - 1, 3]);
    expect(calls).toHaveLength(2);
    expect(memory.socket.writableEnded).toBe(false);
    for (const call of calls) call.reply([]);
    await new Promise(setImmediate);
    expect(memory.socket.writableEnded).toBe(true);
  });
});

function dataBytes(memory: MemoryConnection): number {
  return memory.frames.filter(({ type }) => type === Type.DATA).reduce((sum, { payload }) => sum + payload.length, 0);
}
