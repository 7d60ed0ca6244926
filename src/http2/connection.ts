/**
 * One HTTP/2 connection: its two halves, its streams, and how it ends.
 *
 * H1: a ConnectionError, wherever in the receiving half it is found, ends the connection with GOAWAY.
 * H2: every stream's exchange is notified once when the stream is over, however it ends.
 * H3: reading never waits for writing. Two peers that each stop reading until they have written would wait for ever.
 * H4: what comes in a chunk is answered by one write after the chunk, what handlers send later by one write in a turn of
 *     the event loop.
 */

import type { Duplex } from 'node:stream';
import { ByteBudget } from './byte-budget.ts';
import { ConnectionError, ErrorCode, LimitError } from './error-code.ts';
import type { CutReason } from './exchange.ts';
import { MAX_WINDOW_BYTES } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import type { Http2Limits, LimitListener, LimitName } from './limits.ts';
import { freeOwnBuffer } from './own-buffer.ts';
import type { Peer } from './peer.ts';
import type { HeadMaker, Protocol } from './protocol.ts';
import { type Intake, Receiver, type ReceiverOwner } from './receiver.ts';
import type { RequestHead } from './request-head.ts';
import { RequestRoom, type RoomNeed } from './request-room.ts';
import { Sender, type SenderEvents } from './sender.ts';
import { ourSettings, PeerSettings } from './settings.ts';
import { Http2Stream, type StreamCarrier } from './stream.ts';
import { afterAnswer, StreamState } from './stream-state.ts';
import { StreamTable } from './stream-table.ts';
import { dutyOf, type Vitals } from './upkeep.ts';
import { WayBack } from './way-back.ts';

/** What a connection needs of its server. */
export interface ConnectionHost extends LimitListener {
  readonly protocol: Protocol;
  readonly limits: Http2Limits;
  readonly maxConcurrentStreams: number;
  /** Budget shared by all connections. */
  readonly unread: ByteBudget;
  /** A coarse clock, in milliseconds. */
  readonly now: number;
  /** Calls `flush` at the end of this turn of the event loop. */
  flushSoon(connection: Connection): void;
  /**
   * Makes room for unread answers by ending connections that hold more of them than this one.
   * @returns whether there is room for `bytes` now
   */
  makeRoom(bytes: number, connection: Connection): boolean;
  /**
   * Makes room for a request by ending requests of the connection that holds most.
   * @returns whether there is room now
   */
  makeRoomForRequest(connection: Connection, need: RoomNeed): boolean;
  closed(connection: Connection): void;
  /** A fault of this code, or of the protocol, has ended a connection. */
  failed(fault: unknown): void;
}

/** Streams that we reset are remembered while frames of them may be under way: twice as many as may be open, at least this. */
const MIN_REMEMBERED = 1_024;
/** When a peer does not answer the PING behind the first GOAWAY, its streams are taken to have arrived (section 6.8). */
const LAST_STREAMS_MS = 1_000;
/** What a peer gets to close its end. Until then we read, because to close a socket with unread bytes is to reset it. */
const FAREWELL_MS = 100;
/** Ages differ by a tenth up or down, so that not all clients come back at once. */
const AGE_JITTER = 0.1;
/** A connection that is silent for so long gives its buffer back. */
const IDLE_MS = 5_000;
/** What one look at a request counts at most; looks are a second apart. */
const MAX_LOOK_MS = 2_000;
/** Smaller chunks cost less to collect than to free. */
const FREED_BYTES = 16 * 1024;
const PING_PAYLOAD = Buffer.from('tensorgt', 'latin1');
/** Payload of the PING that measures the way back; its answer must not be taken for another's. */
const PROBE_PAYLOAD = Buffer.from('way back', 'latin1');

/** Why the connection goes that leaves most unread. */
export const TOO_MUCH_UNREAD = 'too many answers are unread';

const Draining = { NO: 0, /** The first GOAWAY is sent. */ ANNOUNCED: 1, /** The last one is. */ FINAL: 2 } as const;
type Draining = (typeof Draining)[keyof typeof Draining];

export class Connection implements StreamCarrier, SenderEvents, ReceiverOwner {
  readonly peer: Peer;
  readonly wayBack = new WayBack();
  readonly room: RequestRoom;
  readonly unread: ByteBudget;
  readonly limits: Http2Limits;
  readonly settings = new PeerSettings();
  readonly streams: StreamTable;
  readonly writer: FrameWriter;
  readonly sender: Sender;
  readonly #receiver: Receiver;
  readonly #host: ConnectionHost;
  readonly #socket: Duplex;

  /** The last stream that was taken (section 6.8). */
  #lastTaken = 0;
  /** Something was asked or sent since the last PING that measures the way back. */
  #isUsed = false;
  #isProbed = false;
  #receiving = false;
  /** The chunk that is being read, and how many views of it are needed afterwards. */
  #chunk: Buffer | undefined;
  #views = 0;
  #willFlush = false;
  #over = false;
  #draining: Draining = Draining.NO;
  #destruction: NodeJS.Timeout | undefined;

  // Moments, for `upkeep`.
  readonly #openedAt: number;
  readonly #maxAgeMs: number;
  #heardAt: number;
  #lookedAt: number;
  #pingedAt: number | undefined;
  #blockedAt: number | undefined;
  /** On the clock of `performance.now()`, as a round trip is shorter than a step of the coarse one. */
  #probedAt: number | undefined;
  #retiredAt: number | undefined;
  #unfinished = 0;
  #unfinishedSince = 0;

  constructor(host: ConnectionHost, socket: Duplex, peer: Peer, roomOfAddress: ByteBudget) {
    const { limits, maxConcurrentStreams } = host;
    this.peer = peer;
    this.limits = limits;
    this.#host = host;
    this.#socket = socket;
    this.unread = new ByteBudget(limits.maxUnreadBytes, 'maxUnreadBytes', host.unread);
    this.streams = new StreamTable(Math.max(MIN_REMEMBERED, 2 * maxConcurrentStreams));
    this.room = new RequestRoom(limits.maxIncomingBytes, roomOfAddress, this.streams, (need) =>
      host.makeRoomForRequest(this, need),
    );
    this.writer = new FrameWriter(socket);
    this.sender = new Sender(this.writer, this.settings, this.unread, host.protocol.responseHeaders(), this);
    this.#receiver = new Receiver(this);
    this.#openedAt = host.now;
    this.#heardAt = host.now;
    this.#lookedAt = host.now;
    this.#maxAgeMs = limits.maxAgeMs * (1 + AGE_JITTER * (2 * Math.random() - 1));
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#unblock());
    // A peer that closes its end is gone: a client has no other use for half a connection.
    socket.on('end', () => socket.destroy());
    // What happened to the socket shows in `close`.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#gone());
    this.writer.settings(ourSettings({ ...limits, maxConcurrentStreams }));
    this.flush();
  }

  get now(): number {
    return this.#host.now;
  }

  get heads(): HeadMaker {
    return this.#host.protocol;
  }

  limitReached(name: LimitName): void {
    this.#host.limitReached(name);
  }

  /** Writes what is ready. */
  flush(): void {
    this.#willFlush = false;
    if (this.#over) return;
    // A client that leaves answers unread gets no room to ask for more.
    if (!this.isCrowded) this.#receiver.reopen();
    this.sender.flush();
    this.#blockedAt = this.sender.isBlocked ? (this.#blockedAt ?? this.now) : undefined;
    // What the socket holds counts without having been asked for.
    if (!this.#host.unread.has(0) && !this.#host.makeRoom(0, this)) {
      this.abort(ErrorCode.ENHANCE_YOUR_CALM, TOO_MUCH_UNREAD);
    } else if (this.#draining === Draining.FINAL && this.streams.size === 0 && !this.sender.isBlocked) {
      this.#over = true;
      this.#close();
    }
  }

  /** Ends the connection at once: GOAWAY, and nothing after it. */
  abort(code: ErrorCode, text: string): void {
    if (this.#over) return;
    const canSay = !this.sender.isBlocked;
    if (canSay) {
      this.writer.goAway(this.#lastTaken, code, text);
      this.writer.flush();
    }
    this.#over = true;
    this.#endStreams();
    this.sender.close();
    this.#receiver.close();
    if (canSay) this.#close();
    else this.#socket.destroy();
  }

  /**
   * Ends the connection when its calls have ended. GOAWAY comes twice (section 6.8): the first says only that there will be
   * an end, and lets streams come that are under way; the second names the last that was taken.
   */
  drain(): void {
    if (this.#over || this.#draining !== Draining.NO) return;
    if (!this.#receiver.hasSettings) {
      this.#socket.destroy();
      return;
    }
    this.#draining = Draining.ANNOUNCED;
    this.#retiredAt = this.now;
    this.writer.goAway(MAX_WINDOW_BYTES, ErrorCode.NO_ERROR, '');
    this.#ping();
    setTimeout(() => this.#finalGoAway(), LAST_STREAMS_MS).unref();
  }

  /** Answers the open calls with UNAVAILABLE. */
  abandon(): void {
    for (const stream of this.streams.all()) stream.exchange?.abandon();
  }

  /** To be called about once a second. */
  upkeep(): void {
    if (this.#over) return;
    this.#lookAtRequests();
    if (this.#isUsed) this.#probe();
    if (this.#receiver.unfinished !== this.#unfinished) {
      this.#unfinished = this.#receiver.unfinished;
      this.#unfinishedSince = this.now;
    }
    switch (dutyOf(this.#vitals, this.limits, this.now)) {
      case 'ping':
        this.#ping();
        break;
      case 'retire':
        this.limitReached('maxAgeMs');
        this.drain();
        break;
      case 'abandon':
        this.limitReached('ageGraceMs');
        this.abandon();
        break;
      case 'refuse':
        this.limitReached('handshakeMs');
        this.abort(ErrorCode.SETTINGS_TIMEOUT, 'no SETTINGS');
        break;
      case 'interrupt':
        this.limitReached('handshakeMs');
        this.abort(ErrorCode.ENHANCE_YOUR_CALM, 'a header block, or a frame, that does not end');
        break;
      case 'stalled':
        this.limitReached('stallMs');
        this.#socket.destroy();
        break;
      case 'silent':
        this.limitReached('keepaliveTimeoutMs');
        this.#socket.destroy();
        break;
      case 'overdue':
        this.#socket.destroy();
        break;
      case 'nothing':
        if (this.streams.size === 0 && this.now - this.#heardAt > IDLE_MS) this.writer.release();
        break;
    }
  }

  // What streams hold of their requests.

  get maySend(): boolean {
    return this.#receiver.isOpen;
  }

  keepChunk(): void {
    this.#views++;
  }

  dropMessage(message: Uint8Array): void {
    if (message.buffer === this.#chunk?.buffer) this.#views--;
    else freeOwnBuffer(message);
  }

  #lookAtRequests(): void {
    // After a pause of ours the peer's bytes are in the kernel, and are read later.
    const elapsedMs = Math.min(this.now - this.#lookedAt, MAX_LOOK_MS);
    this.#lookedAt = this.now;
    this.room.look(elapsedMs);
  }

  // What streams send.

  send(stream: Http2Stream, prefix: Uint8Array, chunks: readonly Uint8Array[], byteLength: number): boolean {
    this.#receiver.earnControl();
    this.#isUsed = true;
    if (this.sender.data(stream, prefix, chunks, byteLength)) return true;
    return this.#host.makeRoom(byteLength, this) && this.sender.data(stream, prefix, chunks, byteLength);
  }

  sendEnd(stream: Http2Stream, end: object): void {
    stream.end = end;
    this.sender.end(stream);
  }

  sendPlain(stream: Http2Stream, httpStatus: number, body: Buffer): void {
    this.sender.plain(stream, httpStatus, body);
  }

  resetStream(stream: Http2Stream, code: ErrorCode): void {
    this.writer.resetStream(stream.id, code);
    this.touched();
    this.streams.remember(stream.id);
    this.#closeStream(stream, StreamState.RESET, 'client');
  }

  reopenWindow(stream: Http2Stream): void {
    const wanted = stream.exchange?.wanted(this.limits.streamWindowBytes) ?? 0;
    const increment = stream.window.reopen(Math.min(wanted, MAX_WINDOW_BYTES));
    if (increment === 0) return;
    this.writer.windowUpdate(stream.id, increment);
    this.touched();
  }

  // Notifications from the sending half.

  answered(stream: Http2Stream): void {
    if (stream.exchange?.isWork) {
      this.#receiver.earn();
      if (!this.#isProbed) this.#probe();
    }
    const state = afterAnswer(stream.state);
    if (state === StreamState.HALF_CLOSED_LOCAL) {
      // Section 8.1: the rest of the request is not needed.
      this.writer.resetStream(stream.id, ErrorCode.NO_ERROR);
      this.streams.remember(stream.id);
      this.#closeStream(stream, StreamState.RESET, undefined);
    } else {
      this.#closeStream(stream, state, undefined);
    }
  }

  touched(): void {
    if (this.#receiving || this.#willFlush || this.#over) return;
    this.#willFlush = true;
    this.#host.flushSoon(this);
  }

  // What the receiving half asks.

  get intake(): Intake {
    // Section 6.8: it crossed the last GOAWAY, which announced that it is not accepted.
    if (this.#draining === Draining.FINAL) return 'ignore';
    if (this.isCrowded) {
      this.limitReached('maxUnreadBytes');
      return 'crowded';
    }
    if (this.streams.size < this.#host.maxConcurrentStreams) return 'take';
    this.limitReached('maxConcurrentStreams');
    return 'refuse';
  }

  openStream(id: number, head: RequestHead): Http2Stream {
    this.#lastTaken = id;
    this.#isUsed = true;
    const stream = new Http2Stream(this, id, {
      receiveWindowBytes: this.limits.streamWindowBytes,
      sendWindowBytes: this.settings.initialWindowBytes,
      openedAt: this.now,
    });
    stream.contentLength = head.contentLength;
    this.streams.add(stream);
    const { protocol } = this.#host;
    if (this.#receiver.isThrottled) protocol.refuse(stream);
    else protocol.open(stream, head);
    return stream;
  }

  cancelStream(stream: Http2Stream): void {
    this.#closeStream(stream, StreamState.CLOSED, 'client');
  }

  takePingAnswer(opaque: Buffer): boolean {
    if (this.#probedAt !== undefined && opaque.equals(PROBE_PAYLOAD)) {
      this.wayBack.observe(performance.now() - this.#probedAt);
      this.#probedAt = undefined;
      return true;
    }
    if (this.#pingedAt === undefined) return false;
    this.#pingedAt = undefined;
    // All that the client sent before it read the first GOAWAY has come.
    this.#finalGoAway();
    return true;
  }

  #receive(chunk: Buffer): void {
    if (this.#over) return;
    this.#heardAt = this.now;
    this.#receiving = true;
    this.#chunk = chunk;
    this.#views = 0;
    try {
      this.#receiver.push(chunk);
    } catch (error) {
      this.#fail(error);
    }
    this.#receiving = false;
    this.#chunk = undefined;
    // Until they are collected, the chunks of an upload would be tens of megabytes.
    if (this.#views === 0 && chunk.length >= FREED_BYTES) freeOwnBuffer(chunk);
    this.flush();
  }

  #fail(error: unknown): void {
    if (error instanceof ConnectionError) {
      if (error instanceof LimitError) this.limitReached(error.limit);
      this.abort(error.code, error.message);
      return;
    }
    this.#host.failed(error);
    this.abort(ErrorCode.INTERNAL_ERROR, 'internal error');
  }

  /** Its unread answers fill half of what they may. */
  get isCrowded(): boolean {
    return this.unread.used * 2 > this.limits.maxUnreadBytes;
  }

  get #vitals(): Vitals {
    return {
      openedAt: this.#openedAt,
      maxAgeMs: this.#maxAgeMs,
      heardAt: this.#heardAt,
      hasSettings: this.#receiver.hasSettings,
      unfinishedSince: this.#unfinished === 0 ? undefined : this.#unfinishedSince,
      pingedAt: this.#pingedAt,
      blockedAt: this.#blockedAt,
      retiredAt: this.#retiredAt,
    };
  }

  #closeStream(stream: Http2Stream, state: StreamState, reason: CutReason | undefined): void {
    stream.state = state;
    this.streams.remove(stream);
    this.sender.forget(stream);
    stream.exchange?.over(reason);
  }

  #endStreams(): void {
    for (const stream of this.streams.all()) this.#closeStream(stream, StreamState.CLOSED, 'connection');
  }

  #ping(): void {
    this.#pingedAt = this.now;
    this.writer.ping(0, PING_PAYLOAD);
    this.touched();
  }

  /** Measures the way back. A peer that does not answer is not asked again. */
  #probe(): void {
    if (this.#probedAt !== undefined) return;
    this.#probedAt = performance.now();
    this.#isUsed = false;
    this.#isProbed = true;
    this.writer.ping(0, PROBE_PAYLOAD);
    this.touched();
  }

  #finalGoAway(): void {
    if (this.#draining !== Draining.ANNOUNCED || this.#over) return;
    this.#draining = Draining.FINAL;
    this.writer.goAway(this.#lastTaken, ErrorCode.NO_ERROR, '');
    this.touched();
  }

  #unblock(): void {
    if (this.#over) return;
    this.#blockedAt = undefined;
    this.wayBack.blocked(this.sender.unblock());
    this.flush();
  }

  /** Ends the socket after the pending writes. */
  #close(): void {
    const socket = this.#socket;
    const destroyAfter = (milliseconds: number): void => {
      clearTimeout(this.#destruction);
      this.#destruction = setTimeout(() => socket.destroy(), milliseconds).unref();
    };
    destroyAfter(this.limits.stallMs);
    socket.end(() => destroyAfter(FAREWELL_MS));
  }

  #gone(): void {
    this.#over = true;
    // It would keep all that the connection has, and peers come and go much faster.
    clearTimeout(this.#destruction);
    this.#endStreams();
    this.sender.close();
    this.#receiver.close();
    this.#host.closed(this);
  }
}
