/** Peers that want to take the server down. Each meets a bound, and every one of these tests ends with a good call. */

import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Method, Routes, Transport, TransportOptions, UnaryCall } from '../../src/gateway/accept/call.ts';
import { http2Listener } from '../../src/gateway/accept/grpc/http2-transport.ts';
import type { Http2Limits } from '../../src/http2/limits.ts';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';
import { MemoryConnection, NOTHING_HELD } from './memory-connection.ts';
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  errorOf,
  frame,
  grpcMessage,
  HELLO,
  literal,
  PADDED,
  PREFACE,
  RawPeer,
  request,
  requestBlock,
  setting,
  Type,
  uint32,
  unaryRequest,
} from './raw-frames.ts';

const MIB = 1024 * 1024;
const OPTIONS: TransportOptions = { ...TRANSPORT_OPTIONS, maxMessageBytes: 8 * MIB };

const NO_ERROR = 0;
const PROTOCOL_ERROR = 1;
const FLOW_CONTROL_ERROR = 3;
const SETTINGS_TIMEOUT = 4;
const FRAME_SIZE_ERROR = 6;
const REFUSED_STREAM = 7;
const COMPRESSION_ERROR = 9;
const ENHANCE_YOUR_CALM = 11;

let transport: Transport | undefined;
let started = 0;
let cancelled = 0;

const echo: Method = { kind: 'unary', handle: (call) => call.reply([call.message]) };
const never: Method = {
  kind: 'unary',
  handle: (call) => {
    started++;
    call.onCancel = () => cancelled++;
  },
};
const large: Method = { kind: 'unary', handle: (call) => call.reply([Buffer.alloc(602_112, 7)]) };
const stream: Method = {
  kind: 'streaming',
  handle(call) {
    call.onMessage = (message) => call.write([message]);
    call.onEnd = () => call.end();
  },
};
const METHODS: Routes = new Map<string, Method>([
  ['/t/Echo', echo],
  ['/t/Never', never],
  ['/t/Large', large],
  ['/t/Stream', stream],
]);

async function serve(limits: Partial<Http2Limits> = {}, options: Partial<TransportOptions> = {}): Promise<number> {
  transport = await http2Listener({ limits })({ ...OPTIONS, ...options }, METHODS);
  return transport.port;
}

async function expectAlive(): Promise<void> {
  const client = new RawClient(transport?.port ?? 0);
  const message = Buffer.alloc(100_000, 1);
  const outcome = await client.unary('/t/Echo', message);
  client.close();
  expect(outcome.status).toBe('OK');
  expect(outcome.message?.equals(message)).toBe(true);
}

beforeEach(() => {
  started = 0;
  cancelled = 0;
});

afterEach(async () => {
  await transport?.drain(0);
  transport = undefined;
});

/** Sends what `each` makes until the server ends the connection. @returns how many it took, and why it ended */
async function flood(
  port: number,
  each: (index: number) => Buffer,
  first: Buffer = Buffer.alloc(0),
): Promise<{ sent: number; end: { code: number; text: string } | undefined }> {
  using peer = await RawPeer.connect(port);
  await peer.send(first);
  let sent = 0;
  for (; sent < 50_000 && !peer.closed; sent += 100) {
    await peer.send(Buffer.concat(Array.from({ length: 100 }, (_, index) => each(sent + index))));
    await new Promise(setImmediate);
  }
  return { sent, end: await peer.end() };
}

describe('floods end with ENHANCE_YOUR_CALM', () => {
  const oddId = (index: number): number => 2 * index + 1;
  type Flood = [what: string, most: number, each: (index: number) => Buffer, first?: Buffer];
  const table: Flood[] = [
    ['PING', 6_000, () => frame(Type.PING, 0, 0, Buffer.alloc(8))],
    ['answers to no PING', 6_000, () => frame(Type.PING, ACK, 0, Buffer.alloc(8))],
    ['SETTINGS', 6_000, () => frame(Type.SETTINGS, 0, 0)],
    [
      'SETTINGS with many entries',
      4_000,
      () => frame(Type.SETTINGS, 0, 0, Buffer.concat(Array(50).fill(setting(4, 1)))),
    ],
    [
      'SETTINGS that empty the header table',
      6_000,
      (index) => frame(Type.SETTINGS, 0, 0, setting(1, index % 2 ? 0 : 4_096)),
    ],
    ['acknowledgements of SETTINGS', 6_000, () => frame(Type.SETTINGS, ACK, 0)],
    ['PRIORITY', 6_000, (index) => frame(Type.PRIORITY, 0, oddId(index), Buffer.from([0, 0, 0, 0, 9]))],
    ['GOAWAY', 6_000, () => frame(Type.GOAWAY, 0, 0, Buffer.alloc(8))],
    ['unknown frames', 6_000, () => frame(0x42, 0, 0, Buffer.alloc(20))],
    ['empty DATA', 6_000, () => frame(Type.DATA, 0, 1), request(1, '/t/Stream')],
    ['DATA with only padding', 6_000, () => frame(Type.DATA, PADDED, 1, Buffer.from([1, 0])), request(1, '/t/Stream')],
    ['tiny WINDOW_UPDATE', 40_000, () => frame(Type.WINDOW_UPDATE, 0, 0, uint32(1))],
    [
      'tiny WINDOW_UPDATE of what is closed',
      40_000,
      () => frame(Type.WINDOW_UPDATE, 0, 1, uint32(1)),
      unaryRequest(1, '/t/Echo'),
    ],
    [
      'CONTINUATION',
      1_000,
      () => frame(Type.CONTINUATION, 0, 1, literal('a', 'b')),
      frame(Type.HEADERS, 0, 1, requestBlock('/t/Echo')),
    ],
    [
      'empty CONTINUATION',
      1_000,
      () => frame(Type.CONTINUATION, 0, 1),
      frame(Type.HEADERS, 0, 1, requestBlock('/t/Echo')),
    ],
    [
      'rapid reset',
      2_000,
      (index) =>
        Buffer.concat([unaryRequest(oddId(index), '/t/Never'), frame(Type.RST_STREAM, 0, oddId(index), uint32(8))]),
    ],
    [
      'resets that the client has us make',
      2_000,
      (index) =>
        Buffer.concat([unaryRequest(oddId(index), '/t/Never'), frame(Type.WINDOW_UPDATE, 0, oddId(index), uint32(0))]),
    ],
    ['malformed requests', 2_000, (index) => request(oddId(index), 'no-slash')],
    ['streams beyond the limit', 2_000, (index) => request(oddId(index), '/t/Never')],
  ];

  test.each(table.map((row) => [row[0], row] as const))('%s', async (_, [, most, each, first]) => {
    const port = await serve();
    const { sent, end } = await flood(port, each, first);
    expect(end?.code).toBe(ENHANCE_YOUR_CALM);
    expect(sent).toBeLessThanOrEqual(most);
    await expectAlive();
    // Every handler that was started was notified that no one waits.
    expect(cancelled).toBe(started);
  });

  test('a WINDOW_UPDATE flood of large steps ends when the window is larger than may be', async () => {
    const port = await serve();
    const { end } = await flood(port, () => frame(Type.WINDOW_UPDATE, 0, 0, uint32(1_000_000)));
    expect(end?.code).toBe(FLOW_CONTROL_ERROR);
    await expectAlive();
  });

  test('good calls beside them are all answered', async () => {
    const port = await serve();
    const client = new RawClient(port);
    let over = false;
    const floods = Promise.all(
      table.slice(0, 8).map(async ([, , each, first]) => {
        for (let round = 0; round < 3; round++)
          expect((await flood(port, each, first)).end?.code).toBe(ENHANCE_YOUR_CALM);
      }),
    ).finally(() => {
      over = true;
    });
    const message = Buffer.alloc(20_000, 4);
    let answered = 0;
    while (!over) {
      const outcomes = await Promise.all(Array.from({ length: 8 }, () => client.unary('/t/Echo', message)));
      for (const outcome of outcomes) {
        expect(outcome.status).toBe('OK');
        expect(outcome.message?.equals(message)).toBe(true);
        answered++;
      }
    }
    await floods;
    client.close();
    expect(answered).toBeGreaterThan(8);
  });

  test.each([
    ['PING', () => frame(Type.PING, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', () => frame(Type.SETTINGS, 0, 0)],
    ['malformed requests', (index: number) => request(oddId(index + 2), 'no-slash')],
    ['empty DATA', () => frame(Type.DATA, 0, 3)],
  ])('%s of a peer that reads nothing: the bytes to be written to it stay few', (_, each) => {
    const memory = new MemoryConnection({ '/t/Stream': stream });
    memory.push(HELLO);
    memory.socket.stuck = true;
    memory.push(request(1, '/t/Unknown'));
    memory.push(request(3, '/t/Stream'));
    let most = 0;
    const isOver = (): boolean => memory.socket.destroyed || memory.socket.writableEnded;
    for (let second = 0; second < 100 && !isOver(); second++) {
      for (let index = 0; index < 300; index++) memory.push(each(1 + second * 300 + index));
      memory.now += 1_000;
      memory.connection.upkeep();
      most = Math.max(most, memory.socket.writableLength + memory.connection.writer.size);
    }
    expect(isOver()).toBe(true);
    expect(most).toBeLessThan(512 * 1024);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('clients that cancel what has lived for a while are not counted', () => {
    const memory = new MemoryConnection({ '/t/Never': never }, { maxConcurrentStreams: 5_000 });
    memory.push(HELLO);
    for (let round = 0, id = 1; round < 5; round++) {
      const ids = Array.from({ length: 1_000 }, () => (id += 2));
      for (const each of ids) memory.push(unaryRequest(each, '/t/Never'));
      memory.now += 1_000;
      for (const each of ids) memory.push(frame(Type.RST_STREAM, 0, each, uint32(8)));
    }
    expect(memory.frames.some(({ type }) => type === Type.GOAWAY)).toBe(false);
    expect(memory.held).toEqual(NOTHING_HELD);
    expect(cancelled).toBe(5_000);
  });
});

describe('bytes that are not HTTP/2', () => {
  test.each([
    ['HTTP/1.1', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a TLS handshake', Buffer.from('16030100a5010000a10303', 'hex')],
    ['garbage', Buffer.alloc(100_000, 0xa5)],
    ['the preface of another version', Buffer.from('PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n')],
  ])('%s is closed at once', async (_, bytes) => {
    const port = await serve();
    using peer = await RawPeer.connectSilently(port);
    await peer.send(bytes);
    expect((await peer.end())?.code).toBe(PROTOCOL_ERROR);
    await expectAlive();
  });

  test('a thousand of them hold nothing once they are closed', async () => {
    const port = await serve();
    const knock = async (): Promise<void> => {
      using peer = await RawPeer.connectSilently(port);
      await peer.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
      await peer.end();
    };
    await knock();
    const before = process.memoryUsage().arrayBuffers;
    for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 50 }, knock));
    // While they were kept for as long as a stalled one may take, these were 32 MiB.
    collectGarbage();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * MIB);
    await expectAlive();
  });

  test('peers that send nothing, or half a preface, are closed after the time for a handshake', async () => {
    const port = await serve({ handshakeMs: 300 });
    const peers = await Promise.all(Array.from({ length: 50 }, () => RawPeer.connectSilently(port)));
    for (const peer of peers.slice(0, 25)) await peer.send(PREFACE.subarray(0, 20));
    for (const peer of peers) expect((await peer.end())?.code).toBe(SETTINGS_TIMEOUT);
    await expectAlive();
  });

  test('a thousand silent connections leave no descriptor behind', async () => {
    const port = await serve({ handshakeMs: 500 });
    const descriptors = (): number => fs.readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const peers = await Promise.all(Array.from({ length: 1_000 }, () => RawPeer.connectSilently(port)));
    await Promise.all(peers.map((peer) => peer.end()));
    await expectAlive();
    await expect.poll(descriptors).toBeLessThan(before + 10);
  });

  test('connections beyond the limit are closed, and the others live', async () => {
    const port = await serve({ maxConnections: 3 });
    const peers = await Promise.all(Array.from({ length: 3 }, () => RawPeer.connect(port)));
    for (const peer of peers) await peer.frame(({ type }) => type === Type.SETTINGS);
    using late = await RawPeer.connectSilently(port);
    await late.end();
    peers[0]?.socket.destroy();
    await peers[1]?.send(unaryRequest(1, '/t/Echo'));
    await peers[1]?.frame(({ type, flags }) => type === Type.HEADERS && (flags & END_STREAM) !== 0);
    for (const peer of peers) peer.socket.destroy();
    await Promise.all(peers.map((peer) => peer.end()));
    await expectAlive();
  });
});

describe('header bombs', () => {
  test.each([
    ['references to a large entry', () => Buffer.alloc(16_000, 0x80 | 62)],
    ['more fields than the limit', () => Buffer.concat(Array.from({ length: 2_000 }, () => literal('aaaa', 'bbbb')))],
  ])('%s: RESOURCE_EXHAUSTED, and the connection lives', async (_, bomb) => {
    const port = await serve();
    using peer = await RawPeer.connect(port);
    const entry = Buffer.concat([
      Buffer.from([0x40, 1]),
      Buffer.from('a'),
      Buffer.from([127, 0xa1, 0x1e]),
      Buffer.alloc(4_000, 'x'),
    ]);
    await peer.send(frame(Type.HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat([requestBlock('/t/Echo'), entry])));
    const block = Buffer.concat([requestBlock('/t/Echo'), bomb()]);
    await peer.send(
      frame(Type.HEADERS, 0, 3, block.subarray(0, 16_000)),
      frame(Type.CONTINUATION, END_HEADERS, 3, block.subarray(16_000)),
    );
    const answer = await peer.frame(({ type, id }) => type === Type.HEADERS && id === 3);
    expect(answer.payload.toString('latin1')).toContain('grpc-status\x018');
    await peer.send(unaryRequest(5, '/t/Echo'));
    await peer.frame(({ type, id }) => type === Type.DATA && id === 5);
  });

  test('table games: changes to nothing and back in every block are allowed, above the limit they are not', async () => {
    const port = await serve();
    using peer = await RawPeer.connect(port);
    const toNothingAndBack = Buffer.from([0x20, 0x3f, 0xe1, 0x1f]);
    for (let id = 1; id < 200; id += 2) {
      const block = Buffer.concat([toNothingAndBack, requestBlock('/t/Echo')]);
      await peer.send(
        frame(Type.HEADERS, END_HEADERS, id, block),
        frame(Type.DATA, END_STREAM, id, grpcMessage(Buffer.alloc(1))),
      );
    }
    await peer.frame(({ type, id }) => type === Type.DATA && id === 199);
    await peer.send(frame(Type.HEADERS, END_HEADERS, 201, Buffer.from([0x3f, 0xe2, 0x1f])));
    expect((await peer.end())?.code).toBe(COMPRESSION_ERROR);
    await expectAlive();
  });

  test('a frame above the limit is not waited for', async () => {
    const port = await serve();
    using peer = await RawPeer.connect(port);
    await peer.send(Buffer.from([0xff, 0xff, 0xff, Type.HEADERS, END_HEADERS, 0, 0, 0, 1]));
    expect((await peer.end())?.code).toBe(FRAME_SIZE_ERROR);
  });
});

describe('requests that never end', () => {
  test('20,000 open streams: no more than the limit are ever open', async () => {
    const port = await serve();
    const { end } = await flood(port, (index) =>
      Buffer.concat([
        request(2 * index + 1, '/t/Never'),
        frame(Type.DATA, 0, 2 * index + 1, grpcMessage(Buffer.alloc(1))),
      ]),
    );
    expect(end?.code).toBe(ENHANCE_YOUR_CALM);
    expect(started).toBe(0);
    await expectAlive();
  });

  test('announced lengths hold at most half of what may be held, and other calls are answered meanwhile', async () => {
    const port = await serve(
      { maxIncomingBytes: 20 * MIB, maxIncomingBytesInAll: 50 * MIB },
      { defaultDeadlineMs: 60_000 },
    );
    const before = process.memoryUsage().arrayBuffers;
    const peers = await Promise.all(Array.from({ length: 6 }, () => RawPeer.connect(port)));
    await Promise.all(
      peers.map(async (peer) => {
        // Each announces 8 MiB, and sends two bytes of it.
        for (let id = 1; id < 20; id += 2) {
          await peer.send(
            request(id, '/t/Never'),
            frame(Type.DATA, 0, id, Buffer.concat([Buffer.from([0]), uint32(8 * MIB), Buffer.alloc(2)])),
          );
        }
        await peer.send(frame(Type.PING, 0, 0, Buffer.alloc(8)));
        await peer.frame(({ type, flags }) => type === Type.PING && (flags & ACK) !== 0);
        expect(peer.frames.some(({ type }) => type === Type.HEADERS)).toBe(false);
      }),
    );
    // Two bytes each of sixty messages, their calls, and three of the announced lengths.
    expect(transport?.gauges?.incomingBytes).toBeLessThan(25 * MIB + 60 * 4_096);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40 * MIB);
    for (let count = 0; count < 10; count++) await expectAlive();
    for (const peer of peers) peer.socket.destroy();
    await Promise.all(peers.map((peer) => peer.end()));
    await expectAlive();
    using again = await RawPeer.connect(port);
    await again.send(request(1, '/t/Echo'), frame(Type.DATA, 0, 1, Buffer.concat([Buffer.from([0]), uint32(8 * MIB)])));
    await again.send(frame(Type.PING, 0, 0, Buffer.alloc(8)));
    await again.frame(({ type, flags }) => type === Type.PING && (flags & ACK) !== 0);
    expect(again.frames.some(({ type }) => type === Type.HEADERS)).toBe(false);
  });

  test('a message in one-byte frames, each with padding, is still a message where it is short', async () => {
    const port = await serve();
    using peer = await RawPeer.connect(port);
    const message = grpcMessage(Buffer.alloc(10_000, 5));
    await peer.send(request(1, '/t/Echo'));
    for (let at = 0; at < message.length; at += 1_000) {
      const bytes = message.subarray(at, at + 1_000);
      await peer.send(
        Buffer.concat([...bytes].map((byte) => frame(Type.DATA, PADDED, 1, Buffer.from([2, byte, 0, 0])))),
      );
    }
    await peer.send(frame(Type.DATA, PADDED | END_STREAM, 1, Buffer.from([0])));
    await peer.frame(({ type, flags }) => type === Type.HEADERS && (flags & END_STREAM) !== 0);
    const answer = Buffer.concat(peer.frames.filter(({ type }) => type === Type.DATA).map(({ payload }) => payload));
    expect(answer.equals(message)).toBe(true);
  });

  test.each([
    ['of a stream', 1, 1],
    ['of the connection', 20, 0],
  ])('more DATA than the window %s is an error of flow control', async (_, streams, id) => {
    const port = await serve({ streamWindowBytes: 65_535, connectionWindowBytes: 65_535 });
    using peer = await RawPeer.connect(port);
    for (let each = 0; each < streams; each++) await peer.send(request(2 * each + 1, '/t/Never'));
    // Nothing of a connection is given back before a chunk was read to its end.
    const chunk = frame(Type.DATA, 0, 1, Buffer.alloc(16_384));
    await peer.send(Buffer.concat(Array(id === 1 ? 5 : 6).fill(chunk)));
    if (id === 0) expect((await peer.end())?.code).toBe(FLOW_CONTROL_ERROR);
    else await Promise.race([peer.frame(({ type }) => type === Type.RST_STREAM || type === Type.GOAWAY), peer.end()]);
    await expectAlive();
  });
});

describe('answers that no one reads', () => {
  test('on one connection: new streams are refused, and answers that do not fit become RESOURCE_EXHAUSTED', () => {
    const calls: UnaryCall[] = [];
    const memory = new MemoryConnection(
      { '/t/Later': { kind: 'unary', handle: (call) => calls.push(call) } },
      { limits: { maxUnreadBytes: 1_000_000 } },
    );
    memory.push(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0, setting(4, 0))]));
    for (let id = 1; id < 40; id += 2) memory.push(unaryRequest(id, '/t/Later'));
    for (const call of calls) call.reply([Buffer.alloc(100_000)]);
    memory.connection.flush();
    // Nine answers with the ends that wait behind them.
    expect(memory.unread.used).toBe(9 * (100_005 + 2 * 1024));
    expect(memory.frames.filter(({ type, flags }) => type === Type.HEADERS && flags & END_STREAM)).toHaveLength(11);
    memory.push(unaryRequest(41, '/t/Later'));
    const refusal = memory.frames.find(({ type, id }) => type === Type.RST_STREAM && id === 41);
    expect(refusal && errorOf(refusal).code).toBe(REFUSED_STREAM);
    memory.push(frame(Type.SETTINGS, 0, 0, setting(4, 1_000_000)));
    memory.push(frame(Type.WINDOW_UPDATE, 0, 0, uint32(10_000_000)));
    memory.close();
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('statuses wait, too, while the socket takes nothing: streams stay open, and so are bounded', () => {
    const memory = new MemoryConnection({}, { maxConcurrentStreams: 50 });
    memory.push(HELLO);
    memory.socket.stuck = true;
    memory.push(unaryRequest(1, '/t/Unknown'));
    // The write that is stuck, and more than the socket's own buffer takes.
    for (let id = 3; id < 20_000; id += 2) {
      memory.push(unaryRequest(id, `/t/${'x'.repeat(100)}`));
      memory.connection.flush();
    }
    expect(memory.socket.writableLength).toBeLessThan(100_000);
  });

  test('on all connections: the peer that holds most of them is closed, and others are served', async () => {
    const port = await serve({ maxUnreadBytes: 16 * MIB, maxUnreadBytesInAll: 40 * MIB });
    const before = process.memoryUsage().arrayBuffers;
    const slow = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const peer = await RawPeer.connect(port, setting(4, 2 ** 31 - 1));
        peer.socket.pause();
        await peer.send(frame(Type.WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1 - 65_535)));
        for (let id = 1; id < 100; id += 2) await peer.send(unaryRequest(id, '/t/Large'));
        return peer;
      }),
    );
    await expectAlive();
    // What the kernel's buffers take is not ours.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * MIB);
    for (const peer of slow) peer.socket.destroy();
    await expectAlive();
  });

  test('on all connections, with closed windows: as many bytes as may be unread, and no more', async () => {
    const port = await serve({ maxUnreadBytes: 8 * MIB, maxUnreadBytesInAll: 30 * MIB });
    const before = process.memoryUsage().arrayBuffers;
    const slow = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const peer = await RawPeer.connect(port, setting(4, 0));
        for (let id = 1; id < 200; id += 2) await peer.send(unaryRequest(id, '/t/Large'));
        await peer.send(frame(Type.PING, 0, 0, Buffer.alloc(8)));
        await Promise.race([peer.frame(({ type, flags }) => type === Type.PING && (flags & ACK) !== 0), peer.end()]);
        return peer;
      }),
    );
    // Two thousand answers of 602 KB were asked for. `Large` makes a new buffer for each, so that garbage counts too.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * MIB);
    const refused = slow.flatMap(({ frames }) =>
      frames.filter(({ type, flags }) => type === Type.HEADERS && flags & 1),
    );
    const reset = slow.flatMap(({ frames }) => frames.filter(({ type }) => type === Type.RST_STREAM));
    expect(refused.length + reset.length + 100 * slow.filter(({ closed }) => closed).length).toBeGreaterThan(1_900);
    await expectAlive();
    for (const peer of slow) peer.socket.destroy();
    await expectAlive();
  });

  test('a peer that takes nothing at all is closed', () => {
    const memory = new MemoryConnection({ '/t/Large': large });
    memory.push(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0, setting(4, 1_000_000))]));
    memory.push(frame(Type.WINDOW_UPDATE, 0, 0, uint32(1_000_000)));
    memory.socket.stuck = true;
    memory.push(unaryRequest(1, '/t/Large'));
    for (let second = 0; second < 62; second++) {
      memory.now += 1_000;
      // That it sends does not help.
      memory.push(frame(Type.PING, 0, 0, Buffer.alloc(8)));
      memory.connection.upkeep();
    }
    expect(memory.socket.destroyed).toBe(true);
  });

  test('a call that ended is reset at its deadline when its answer is not taken', async () => {
    const port = await serve({}, { defaultDeadlineMs: 200 });
    using peer = await RawPeer.connect(port, setting(4, 0));
    await peer.send(unaryRequest(1, '/t/Large'));
    const reset = await peer.frame(({ type }) => type === Type.RST_STREAM);
    expect(errorOf(reset).code).not.toBe(NO_ERROR);
    await expectAlive();
  });
});
