/** Answers without trailers, from a connection without a network. */

import { describe, expect, test } from 'vitest';
import { ByteBudget } from '../../src/http2/byte-budget.ts';
import { Connection } from '../../src/http2/connection.ts';
import { HTTP_FIELD_KINDS } from '../../src/http2/header-field.ts';
import { HpackEncoder } from '../../src/http2/hpack-encoder.ts';
import { STATIC_INDEX } from '../../src/http2/hpack-table.ts';
import type { Protocol } from '../../src/http2/protocol.ts';
import { RequestHead } from '../../src/http2/request-head.ts';
import type { ResponseHeaders } from '../../src/http2/response-headers.ts';
import { Http2Server } from '../../src/http2/server.ts';
import { MemorySocket } from './memory-connection.ts';
import { END_HEADERS, END_STREAM, type Frame, frame, framesOf, HELLO, requestBlock, Type } from './raw-frames.ts';

class PlainHeaders implements ResponseHeaders {
  readonly #encoder = new HpackEncoder();

  setTableSize(): void {}

  head(): Buffer {
    throw new Error('every answer is plain');
  }

  trailers(): Buffer {
    throw new Error('every answer is plain');
  }

  plain(httpStatus: number): Buffer {
    this.#encoder.literal(STATIC_INDEX.STATUS, String(httpStatus));
    return this.#encoder.end();
  }
}

/** Answers each request with 200 and as many bytes as the length of its path says. */
const PROTOCOL: Protocol = {
  fieldKinds: HTTP_FIELD_KINDS,
  requestHead: (maxListBytes) => new RequestHead(maxListBytes),
  responseHeaders: () => new PlainHeaders(),
  open: (stream, { path = '/0' }) => stream.sendPlain(200, Buffer.alloc(Number(path.slice(1)))),
  refuse: (stream) => stream.sendPlain(503, Buffer.alloc(0)),
};

/** What windows allow at first; behind its frame headers it is more than the socket takes. */
const FULL_BYTES = 65_535;

class PlainPeer {
  readonly server = new Http2Server(PROTOCOL, { maxConcurrentStreams: 10 });
  readonly socket = new MemorySocket();
  readonly #connection = new Connection(
    this.server,
    this.socket,
    { address: 'memory' },
    new ByteBudget(Number.POSITIVE_INFINITY, 'maxIncomingBytes'),
  );

  constructor() {
    this.socket.emit('data', HELLO);
  }

  ask(id: number, bodyBytes: number): void {
    this.socket.emit('data', frame(Type.HEADERS, END_HEADERS | END_STREAM, id, requestBlock(`/${bodyBytes}`)));
  }

  framesOn(id: number): Omit<Frame, 'id'>[] {
    return framesOf(Buffer.concat(this.socket.writes))
      .filter((sent) => sent.id === id)
      .map(({ type, flags, payload }) => ({ type, flags, payload }));
  }

  get openStreams(): number {
    return this.#connection.streams.size;
  }
}

const HEAD = { type: Type.HEADERS, flags: END_HEADERS, payload: expect.any(Buffer) };
const END = { type: Type.DATA, flags: END_STREAM, payload: Buffer.alloc(0) };

describe('a plain answer', () => {
  test('ends its stream with the last byte of its body', () => {
    const peer = new PlainPeer();
    peer.ask(1, 5);
    expect(peer.framesOn(1)).toEqual([HEAD, { ...END, payload: Buffer.alloc(5) }]);
    expect(peer.openStreams).toBe(0);
    expect(peer.server.unread.used).toBe(0);
  });

  test('ends its stream also with an empty body', () => {
    const peer = new PlainPeer();
    peer.ask(1, 0);
    expect(peer.framesOn(1)).toEqual([HEAD, END]);
    expect(peer.openStreams).toBe(0);
    expect(peer.server.unread.used).toBe(0);
  });

  test('is held while the socket is full, and counted, also with an empty body', () => {
    const peer = new PlainPeer();
    peer.socket.stuck = true;
    peer.ask(1, FULL_BYTES);
    const before = peer.server.unread.used;
    peer.ask(3, 0);
    expect(peer.openStreams).toBe(1);
    expect(peer.server.unread.used).toBeGreaterThan(before + 1024);
    peer.socket.unstick();
    expect(peer.framesOn(3)).toEqual([HEAD, END]);
    expect(peer.openStreams).toBe(0);
    expect(peer.server.unread.used).toBe(0);
  });
});
