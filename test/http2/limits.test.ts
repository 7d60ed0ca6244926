/** Every limit is a setting. The server reports when one is reached, and peers that keep to it are not affected. */

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Method, StreamingCall, Transport, TransportOptions } from '../../src/gateway/accept/call.ts';
import { http2Listener } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { Status } from '../../src/gateway/errors.ts';
import { diagnostics } from '../../src/gateway/ops/diagnostics.ts';
import { http2SettingName } from '../../src/gateway/ops/limit-setting-name.ts';
import { DEFAULT_LIMITS, HTTP2_LIMITS, type Http2Limits } from '../../src/http2/limits.ts';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';
import { END_STREAM, frame, grpcMessage, RawPeer, request, Type, uint32, unaryRequest } from './raw-frames.ts';

const KIB = 1024;
const OPTIONS: TransportOptions = { ...TRANSPORT_OPTIONS, maxMessageBytes: 8 * KIB * KIB, maxConcurrentStreams: 10 };

let transport: Transport | undefined;
let reached: string[];
let stop: () => void;
let held: StreamingCall | undefined;

const echo: Method = { kind: 'unary', handle: (call) => call.reply([call.message]) };
const never: Method = { kind: 'unary', handle: () => {} };
const pausing: Method = {
  kind: 'streaming',
  handle(call) {
    held = call;
    call.pause();
    call.onMessage = (message) => call.write([Buffer.from(String(message.byteLength))]);
    call.onEnd = () => call.end();
  },
};

async function serve(limits: Partial<Http2Limits>, options: Partial<TransportOptions> = {}): Promise<number> {
  const routes = new Map([
    ['/t/Echo', echo],
    ['/t/Never', never],
    ['/t/Pausing', pausing],
  ]);
  transport = await http2Listener({ limits })({ ...OPTIONS, ...options }, routes);
  return transport.port;
}

async function expectAlive(): Promise<void> {
  const client = new RawClient(transport?.port ?? 0);
  expect((await client.unary('/t/Echo', Buffer.from('alive'))).status).toBe('OK');
  client.close();
}

beforeEach(() => {
  reached = [];
  stop = diagnostics.limitReached.subscribe(({ limit }) => reached.push(limit));
});

afterEach(async () => {
  stop();
  await transport?.drain(0);
  transport = undefined;
});

test('each default is legal, and each limit has a setting of its own', () => {
  for (const [name, limit] of Object.entries(HTTP2_LIMITS)) {
    expect(limit.default, name).toBeGreaterThanOrEqual(limit.minimum);
    if ('maximum' in limit) expect(limit.default, name).toBeLessThanOrEqual(limit.maximum);
    expect(DEFAULT_LIMITS).toHaveProperty(name, limit.default);
  }
  expect(http2SettingName('maxConnections')).toBe('http2MaxConnections');
});

describe('connections', () => {
  test('above the number of one address are closed, and count as its own when others have gone', async () => {
    const port = await serve({ maxConnectionsPerAddress: 2 });
    const peers = [await RawPeer.connect(port), await RawPeer.connect(port)];
    await Promise.all(peers.map((peer) => peer.frame(({ type }) => type === Type.SETTINGS)));
    using third = await RawPeer.connect(port);
    await third.end();
    expect(reached).toEqual(['http2MaxConnectionsPerAddress']);
    expect(transport?.gauges).toMatchObject({ connections: 2 });
    for (const peer of peers) {
      peer[Symbol.dispose]();
      await once(peer.socket, 'close');
    }
    await expect.poll(() => transport?.gauges?.connections).toBe(0);
    await expectAlive();
  });

  test('above the number of all are closed', async () => {
    const port = await serve({ maxConnections: 1 });
    using first = await RawPeer.connect(port);
    await first.frame(({ type }) => type === Type.SETTINGS);
    using second = await RawPeer.connect(port);
    await second.end();
    expect(reached).toEqual(['http2MaxConnections']);
  });

  test.each<[limit: string, limits: Partial<Http2Limits>]>([
    ['http2HandshakeMs', { handshakeMs: 1 }],
    ['http2KeepaliveTimeoutMs', { keepaliveMs: 1, keepaliveTimeoutMs: 1 }],
    ['http2MaxAgeMs', { maxAgeMs: 1 }],
  ])('end at %s, which is reported', async (limit, limits) => {
    const port = await serve(limits);
    using peer = limit === 'http2HandshakeMs' ? await RawPeer.connectSilently(port) : await RawPeer.connect(port);
    await peer.end();
    expect(reached).toContain(limit);
  });
});

describe('a message that has begun', () => {
  const half = (id: number, length: number, path = '/t/Echo'): Buffer =>
    Buffer.concat([
      request(id, path),
      frame(Type.DATA, 0, id, Buffer.concat([Buffer.from([0]), uint32(length), Buffer.alloc(10)])),
    ]);

  test('and then does not come fails, gives its room back, and harms no other call', async () => {
    const port = await serve({ messageGraceMs: 50, minBytesPerSecond: 1_000_000 });
    using peer = await RawPeer.connect(port);
    await peer.send(half(1, 100_000));
    await expect.poll(() => transport?.gauges?.incomingBytes).toBeGreaterThan(100_000);
    const answer = await peer.frame(({ type, id }) => type === Type.HEADERS && id === 1);
    expect(answer.payload.includes(String(Status.RESOURCE_EXHAUSTED))).toBe(true);
    expect(reached).toEqual(['http2MinBytesPerSecond']);
    await expect.poll(() => transport?.gauges?.incomingBytes).toBe(0);
    await peer.send(unaryRequest(3, '/t/Echo', Buffer.from('next')));
    await peer.frame(({ type, id, flags }) => type === Type.HEADERS && id === 3 && (flags & END_STREAM) !== 0);
  });

  test('may be slow where the server itself does not let it come', async () => {
    const port = await serve({ messageGraceMs: 20, minBytesPerSecond: 1e9, streamWindowBytes: 65_535 });
    using peer = await RawPeer.connect(port);
    const message = grpcMessage(Buffer.alloc(100_000, 7));
    await peer.send(request(1, '/t/Pausing'));
    // A first message waits, because the call is paused; of the second the window holds a part.
    await peer.send(frame(Type.DATA, 0, 1, grpcMessage(Buffer.alloc(10))));
    for (let at = 0; at < 65_535 - 15; at += 16_384) {
      await peer.send(frame(Type.DATA, 0, 1, message.subarray(at, Math.min(at + 16_384, 65_535 - 15))));
    }
    await sleep(200); // Ten times what it may take where it is the peer who is slow.
    expect(reached).toEqual([]);
    held?.resume();
    await peer.frame(({ type, id }) => type === Type.WINDOW_UPDATE && id === 1);
    for (let at = 65_535 - 15; at < message.length; at += 16_384) {
      await peer.send(frame(Type.DATA, 0, 1, message.subarray(at, at + 16_384)));
    }
    await peer.send(frame(Type.DATA, END_STREAM, 1));
    await peer.frame(({ type, id, flags }) => type === Type.HEADERS && id === 1 && (flags & END_STREAM) !== 0);
  });
});

describe('DATA in tiny frames', () => {
  const LENGTH = 60_000;
  const tiny = (padding: number): Buffer => {
    const payload = padding === 0 ? Buffer.alloc(1) : Buffer.concat([Buffer.from([padding, 1]), Buffer.alloc(padding)]);
    return frame(Type.DATA, padding === 0 ? 0 : 8, 1, payload);
  };

  test.each([0, 255])('that complete nothing end the connection (padding %i)', async (padding) => {
    const port = await serve({});
    using peer = await RawPeer.connect(port);
    await peer.send(request(1, '/t/Echo'), frame(Type.DATA, 0, 1, Buffer.concat([Buffer.from([0]), uint32(LENGTH)])));
    for (let sent = 0; sent < LENGTH && !peer.closed; sent += 100) {
      await peer.send(...Array.from({ length: 100 }, () => tiny(padding)));
      await new Promise(setImmediate);
    }
    expect(await peer.end()).toMatchObject({ code: 11, text: 'too many tiny DATA' });
    expect(reached).toEqual(['http2ControlBurst']);
    await expectAlive();
  });

  test('is no matter where each is a message', async () => {
    const port = await serve({ controlBurst: 10, controlPerSecond: 1 });
    using peer = await RawPeer.connect(port);
    for (let id = 1; id < 1_000; id += 2) {
      await peer.send(unaryRequest(id, '/t/Echo', Buffer.from('x')));
      await peer.frame(({ type, id: answered, flags }) => {
        return type === Type.HEADERS && answered === id && (flags & END_STREAM) !== 0;
      });
    }
    expect(reached).toEqual([]);
  }, 30_000);
});

test('calls above the number of a connection are refused, which is reported under the setting of the seam', async () => {
  const port = await serve({}, { maxConcurrentStreams: 1 });
  using peer = await RawPeer.connect(port);
  await peer.send(unaryRequest(1, '/t/Never'), unaryRequest(3, '/t/Echo'));
  await peer.frame(({ type, id }) => type === Type.RST_STREAM && id === 3);
  expect(reached).toEqual(['maxConcurrentStreams']);
});

test('metadata above the limit is reported', async () => {
  const port = await serve({ maxHeaderListBytes: 4 * KIB, maxHeaderBlockBytes: 64 * KIB });
  using peer = await RawPeer.connect(port);
  await peer.send(request(1, '/t/Echo', { 'x-long': 'a'.repeat(8 * KIB) }));
  await peer.frame(({ type, id }) => type === Type.HEADERS && id === 1);
  expect(reached).toEqual(['http2MaxHeaderListBytes']);
});
