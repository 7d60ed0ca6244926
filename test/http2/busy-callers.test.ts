/** A busy client is no attacker: calls that expire, are cancelled or are refused never end its connection. */

import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Method } from '../../src/gateway/accept/call.ts';
import { http2Listener } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { InferError } from '../../src/gateway/errors.ts';
import type { Http2Server } from '../../src/http2/server.ts';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';
import { MemoryConnection, NOTHING_HELD } from './memory-connection.ts';
import {
  END_STREAM,
  errorOf,
  frame,
  grpcMessage,
  HELLO,
  PREFACE,
  request,
  setting,
  Type,
  uint32,
  unaryRequest,
} from './raw-frames.ts';

const CANCEL = 8;
const REFUSED_STREAM = 7;
const OK = '0';
const RESOURCE_EXHAUSTED = '8';
/** Several times `http2ResetBurst`. */
const MANY = 5_000;

let started = 0;
const METHODS: Readonly<Record<string, Method>> = {
  '/t/Echo': { kind: 'unary', handle: (call) => call.reply([call.message]) },
  '/t/Never': { kind: 'unary', handle: () => void started++ },
  '/t/Large': { kind: 'unary', handle: (call) => call.reply([Buffer.alloc(100_000)]) },
  '/t/Busy': {
    kind: 'unary',
    screen: () => new InferError('queue_full', 'the server is busy'),
    handle: () => undefined,
  },
  '/t/Stream': { kind: 'streaming', handle: (call) => (call.onMessage = (message) => call.write([message])) },
};

interface Client {
  readonly memory: MemoryConnection;
  readonly nextId: () => number;
}

function connect(maxConcurrentStreams = 1_000, settings: Buffer = Buffer.alloc(0)): Client {
  started = 0;
  const memory = new MemoryConnection(METHODS, { maxConcurrentStreams });
  memory.push(settings.length === 0 ? HELLO : Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0, settings)]));
  memory.push(frame(Type.WINDOW_UPDATE, 0, 0, uint32(2 ** 30)));
  let id = -1;
  return { memory, nextId: () => (id += 2) };
}

function open(id: number, path: string, timeout?: string): Buffer {
  const more = timeout === undefined ? {} : { 'grpc-timeout': timeout };
  return Buffer.concat([request(id, path, more), frame(Type.DATA, END_STREAM, id, grpcMessage(Buffer.alloc(10)))]);
}

function cancel(id: number): Buffer {
  return frame(Type.RST_STREAM, 0, id, uint32(CANCEL));
}

function goAway({ frames }: MemoryConnection): string | undefined {
  const found = frames.find(({ type }) => type === Type.GOAWAY);
  return found && errorOf(found).text;
}

function answer({ memory, nextId }: Client, count: number): void {
  for (let index = 0; index < count; index++) memory.push(unaryRequest(nextId(), '/t/Echo', Buffer.alloc(10)));
}

function resets({ frames }: MemoryConnection, code: number): number {
  return frames.filter((each) => each.type === Type.RST_STREAM && errorOf(each).code === code).length;
}

describe('a connection lives through', () => {
  test('thousands of calls above its number of streams, which came while the server paused', () => {
    const client = connect(100);
    answer(client, 2 * MANY);
    const { memory, nextId } = client;
    memory.push(Buffer.concat(Array.from({ length: MANY }, () => open(nextId(), '/t/Never'))));
    expect(goAway(memory)).toBeUndefined();
    expect(resets(memory, REFUSED_STREAM)).toBe(MANY - 100);
    memory.close();
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('thousands of calls that all expire, as fast as their deadlines let them', async () => {
    const { memory, nextId } = connect();
    for (let round = 0; round < MANY / 100; round++) {
      const ids = Array.from({ length: 100 }, nextId);
      for (const id of ids) memory.push(open(id, '/t/Never', '3m'));
      await sleep(4);
      for (const id of ids) memory.push(cancel(id));
    }
    expect(goAway(memory)).toBeUndefined();
    expect(started).toBe(MANY);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('thousands of calls that expired before the server read them', () => {
    const { memory, nextId } = connect();
    const calls = Array.from({ length: MANY }, () => {
      const id = nextId();
      return Buffer.concat([open(id, '/t/Never', '50m'), cancel(id)]);
    });
    memory.push(Buffer.concat(calls));
    expect(goAway(memory)).toBeUndefined();
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('thousands of calls that are cancelled as soon as they are under way: they are slowed, and go on later', () => {
    const { memory, nextId } = connect();
    let refused = 0;
    for (let round = 0; round < MANY / 50; round++) {
      const ids = Array.from({ length: 50 }, nextId);
      memory.push(Buffer.concat(ids.map((id) => open(id, '/t/Never'))));
      // A client does not reset an answered call.
      const { statuses } = memory;
      for (const id of ids) {
        if (statuses.has(id)) refused++;
        else memory.push(cancel(id));
      }
    }
    expect(goAway(memory)).toBeUndefined();
    expect(refused).toBeGreaterThan(MANY - 1_200);
    expect(memory.sent.includes('http2ResetBurst')).toBe(true);
    const id = nextId();
    memory.push(open(id, '/t/Echo'));
    expect(memory.statuses.get(id)).toBe(RESOURCE_EXHAUSTED);
    memory.passSecond();
    const later = nextId();
    memory.push(open(later, '/t/Echo'));
    expect(memory.statuses.get(later)).toBe(OK);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('as many cancelled calls as answered ones, which are not even slowed', () => {
    const client = connect();
    const { memory, nextId } = client;
    for (let round = 0; round < MANY; round++) {
      answer(client, 1);
      const id = nextId();
      memory.push(open(id, '/t/Never'));
      memory.push(cancel(id));
    }
    expect(started).toBe(MANY);
    expect(goAway(memory)).toBeUndefined();
  });

  test('thousands of calls that are refused before their messages come', () => {
    const { memory, nextId } = connect();
    const ids = Array.from({ length: MANY }, nextId);
    for (const id of ids) memory.push(request(id, '/t/Busy'));
    for (const id of ids) memory.push(frame(Type.DATA, END_STREAM, id, grpcMessage(Buffer.alloc(1_000))));
    expect(goAway(memory)).toBeUndefined();
    expect([...memory.statuses.values()]).toEqual(Array(MANY).fill(RESOURCE_EXHAUSTED));
    // All say that the rest of the request is not needed, and none that it is wrong.
    expect(resets(memory, 0)).toBe(MANY);
    expect(memory.frames.filter(({ type }) => type === Type.RST_STREAM)).toHaveLength(MANY);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('thousands of calls that are refused because it reads its answers slowly', () => {
    const { memory, nextId } = connect(4_000, setting(4, 0));
    for (let index = 0; index < 1_500; index++) memory.push(open(nextId(), '/t/Large'));
    const before = resets(memory, REFUSED_STREAM);
    for (let index = 0; index < MANY; index++) memory.push(open(nextId(), '/t/Large'));
    expect(resets(memory, REFUSED_STREAM) - before).toBe(MANY);
    expect(goAway(memory)).toBeUndefined();
    memory.close();
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('a PING and a small WINDOW_UPDATE for each message that it receives, as clients that measure the line send them', () => {
    const { memory, nextId } = connect(10, setting(4, 2 ** 31 - 1));
    const id = nextId();
    memory.push(request(id, '/t/Stream'));
    for (let index = 0; index < 3 * MANY; index++) {
      memory.push(frame(Type.DATA, 0, id, grpcMessage(Buffer.alloc(20))));
      memory.push(
        Buffer.concat([frame(Type.PING, 0, 0, Buffer.alloc(8)), frame(Type.WINDOW_UPDATE, 0, 0, uint32(25))]),
      );
    }
    expect(goAway(memory)).toBeUndefined();
    memory.close();
  });
});

describe('a connection ends', () => {
  /** How many calls are reset before it does. */
  function rapidReset({ memory, nextId }: Client, timeout?: string): number {
    for (let count = 0; count < 100_000; count++) {
      if (goAwaySoFar(memory)) return count;
      const id = nextId();
      memory.push(Buffer.concat([open(id, '/t/Never', timeout), cancel(id)]));
    }
    return Number.POSITIVE_INFINITY;
  }

  function goAwaySoFar({ socket }: MemoryConnection): boolean {
    return socket.writableEnded || socket.destroyed;
  }

  test('where calls are only opened to be reset: soon, with few started and none after the allowance', () => {
    const client = connect();
    expect(rapidReset(client)).toBeLessThan(1_500);
    expect(started).toBeLessThan(1_100);
    expect(goAway(client.memory)).toBe('too many streams that are reset');
    expect(client.memory.held).toEqual(NOTHING_HELD);
  });

  test('where these calls pretend to expire, somewhat later', () => {
    for (const timeout of ['1n', '1m', '100m', '1S']) expect(rapidReset(connect(), timeout)).toBeLessThan(15_000);
  });

  test('where they come after many good ones, at most by ten times the burst later', () => {
    const client = connect();
    answer(client, 20 * MANY);
    started = 0;
    expect(rapidReset(client)).toBeLessThan(15_000);
    expect(started).toBeLessThan(10_100);
  });
});

describe('over a socket', () => {
  let transport: Http2Server | undefined;
  let listener: net.Server | undefined;
  let sockets = 0;

  async function serve(): Promise<number> {
    transport = await http2Listener({})(
      { ...TRANSPORT_OPTIONS, maxMessageBytes: 1_000_000 },
      new Map(Object.entries(METHODS)),
    );
    sockets = 0;
    listener = net.createServer((socket) => {
      sockets++;
      transport?.accept(socket);
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return (listener.address() as net.AddressInfo).port;
  }

  afterEach(async () => {
    listener?.close();
    await transport?.drain(0);
  });

  test('grpc-js keeps its one connection through calls that expire, are cancelled and are refused', async () => {
    const client = new RawClient(await serve());
    const message = Buffer.alloc(100);
    const expiring = async (): Promise<void> => {
      for (let index = 0; index < 100; index++) await client.unary('/t/Never', message, { timeoutMs: 2 });
    };
    const cancelling = async (): Promise<void> => {
      for (let index = 0; index < 100; index++) {
        const abort = new AbortController();
        const outcome = client.unary('/t/Never', message, { signal: abort.signal });
        setImmediate(() => abort.abort());
        expect(['CANCELLED', 'RESOURCE_EXHAUSTED']).toContain((await outcome).status);
      }
    };
    const refused = async (): Promise<void> => {
      for (let index = 0; index < 100; index++) {
        expect((await client.unary('/t/Busy', message)).status).toBe('RESOURCE_EXHAUSTED');
      }
    };
    const workers = Array.from({ length: 60 }, (_, index) => [expiring, cancelling, refused][index % 3]?.());
    await Promise.all(workers);
    await expect.poll(async () => (await client.unary('/t/Echo', message)).status, { timeout: 5_000 }).toBe('OK');
    client.close();
    expect(sockets).toBe(1);
  }, 60_000);
});
