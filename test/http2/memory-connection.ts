/** A connection without a network: bytes go in, bytes come out, and what it holds can be looked at. */

import { Duplex } from 'node:stream';
import type { Method } from '../../src/gateway/accept/call.ts';
import { GrpcService } from '../../src/gateway/accept/grpc/grpc-service.ts';
import { limitReached } from '../../src/gateway/accept/grpc/limit-events.ts';
import { diagnostics } from '../../src/gateway/ops/diagnostics.ts';
import { ByteBudget } from '../../src/http2/byte-budget.ts';
import { Connection, type ConnectionHost } from '../../src/http2/connection.ts';
import { makeRoomForRequest } from '../../src/http2/incoming-room.ts';
import { DEFAULT_LIMITS, type Http2Limits, type LimitName } from '../../src/http2/limits.ts';
import type { RoomNeed } from '../../src/http2/request-room.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';
import { END_STREAM, type Frame, framesOf, Type } from './raw-frames.ts';

export class MemorySocket extends Duplex {
  /** What each write held. */
  readonly writes: Buffer[] = [];
  /** Takes nothing while set. */
  stuck = false;
  #resume: (() => void) | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#take([chunk], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: () => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  unstick(): void {
    this.stuck = false;
    this.#resume?.();
    this.#resume = undefined;
  }

  #take(chunks: readonly Buffer[], done: () => void): void {
    const at = this.writes.push(Buffer.concat(chunks)) - 1;
    const take = (): void => {
      // A socket may read what it was given up to here.
      this.writes[at] = Buffer.concat(chunks);
      done();
    };
    if (this.stuck) this.#resume = take;
    else take();
  }
}

export interface MemoryOptions {
  readonly limits?: Partial<Http2Limits>;
  readonly maxConcurrentStreams?: number;
  /** Another connection of the same server, and, unless `isElsewhere`, from the same address. */
  readonly beside?: MemoryConnection;
  readonly isElsewhere?: boolean;
}

export class MemoryConnection implements ConnectionHost {
  readonly limits: Http2Limits;
  readonly maxConcurrentStreams: number;
  readonly incoming: ByteBudget;
  readonly unread: ByteBudget;
  readonly protocol: GrpcService;
  readonly socket = new MemorySocket();
  readonly connection: Connection;
  readonly incomingOfAddress: ByteBudget;
  /** All that share what may be held of requests. */
  readonly #connections: Connection[];
  now = 1_000;
  isClosed = false;

  constructor(methods: Readonly<Record<string, Method>>, options: MemoryOptions = {}) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.maxConcurrentStreams = options.maxConcurrentStreams ?? 100;
    const { beside } = options;
    this.incoming =
      beside?.incoming ?? new ByteBudget(this.limits.maxIncomingBytesInAll, 'maxIncomingBytesInAll', undefined, this);
    this.incomingOfAddress =
      beside === undefined || options.isElsewhere
        ? new ByteBudget(Number.POSITIVE_INFINITY, 'maxIncomingBytesInAll', this.incoming)
        : beside.incomingOfAddress;
    this.unread = new ByteBudget(this.limits.maxUnreadBytesInAll, 'maxUnreadBytesInAll', undefined, this);
    this.protocol = new GrpcService(new Map(Object.entries(methods)), TRANSPORT_OPTIONS, this.limits);
    this.connection = new Connection(this, this.socket, { address: 'memory' }, this.incomingOfAddress);
    this.#connections = beside === undefined ? [] : beside.#connections;
    this.#connections.push(this.connection);
  }

  limitReached(name: LimitName): void {
    limitReached(name);
  }

  failed(fault: unknown): void {
    diagnostics.notice.publish({
      level: 'error',
      text: 'an HTTP/2 connection failed by a fault of ours',
      cause: fault,
    });
  }

  flushSoon(connection: Connection): void {
    setImmediate(() => connection.flush());
  }

  makeRoom(bytes: number): boolean {
    return this.unread.has(bytes);
  }

  makeRoomForRequest(connection: Connection, need: RoomNeed): boolean {
    return makeRoomForRequest(this.incoming, this.#connections, connection, need);
  }

  closed(): void {
    this.isClosed = true;
  }

  /** The peer sends a chunk: it is dealt with before this returns. */
  push(chunk: Buffer): void {
    this.socket.emit('data', chunk);
  }

  /** The peer is gone. */
  close(): void {
    this.socket.emit('close');
  }

  /** A second passes, and the connection is looked at. */
  passSecond(): void {
    this.now += 1_000;
    this.connection.upkeep();
    this.connection.flush();
  }

  /** `grpc-status` of the answers that have ended, by stream. */
  get statuses(): Map<number, string> {
    const statuses = new Map<number, string>();
    for (const { type, id, flags, payload } of this.frames) {
      if (type !== Type.HEADERS || (flags & END_STREAM) === 0) continue;
      const at = payload.indexOf('grpc-status');
      // OK is in the table of the peer from its second time on.
      const length = at < 0 ? 0 : (payload[at + 11] ?? 0);
      statuses.set(id, at < 0 ? '0' : payload.subarray(at + 12, at + 12 + length).toString('latin1'));
    }
    return statuses;
  }

  get sent(): Buffer {
    return Buffer.concat(this.socket.writes);
  }

  get frames(): Frame[] {
    return framesOf(this.sent);
  }

  /** What the server holds of requests and answers, and for deadlines: nothing, when all calls are over. */
  get held(): { incoming: number; unread: number; deadlines: number } {
    return { incoming: this.incoming.used, unread: this.unread.used, deadlines: this.protocol.pendingDeadlines };
  }
}

export const NOTHING_HELD = { incoming: 0, unread: 0, deadlines: 0 };
