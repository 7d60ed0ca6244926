/**
 * One HTTP/2 connection: its two halves, its streams, and how it ends.
 *
 * CONN-1: a ConnectionError, wherever in the receiving half it is found, ends the connection with GOAWAY.
 * CONN-2: reading never waits for writing. Two peers that each stop reading until they have written would wait for ever.
 * CONN-3: what comes in a chunk is answered by one write after the chunk, what handlers send later by one write in a turn of
 *     the event loop.
 */

import type { Duplex } from 'node:stream';
import { ByteBudget } from './byte-budget.ts';
import { Carrier, type CarrierOwner } from './carrier.ts';
import { ConnectionUpkeep, type UpkeepOwner } from './connection-upkeep.ts';
import { ConnectionError, ErrorCode, LimitError } from './error-code.ts';
import { FrameWriter } from './frame-writer.ts';
import { GracefulShutdown, type GracefulShutdownOwner } from './graceful-shutdown.ts';
import type { Http2Limits, LimitListener, LimitName } from './limits.ts';
import type { Peer } from './peer.ts';
import { Pings } from './pings.ts';
import type { Protocol } from './protocol.ts';
import { ReceivedChunk } from './received-chunk.ts';
import { type Intake, Receiver, type ReceiverOwner } from './receiver.ts';
import { RequestRoom, type RoomNeed } from './request-room.ts';
import { Sender, type SenderOwner } from './sender.ts';
import { ourSettings, PeerSettings } from './settings.ts';
import { StreamTable } from './stream-table.ts';
import { WayBack } from './way-back.ts';

export interface ConnectionHost extends LimitListener {
  readonly protocol: Protocol;
  readonly limits: Http2Limits;
  readonly maxConcurrentStreams: number;
  /** Shared by all connections. */
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
/** Why the connection goes that leaves most unread. */
export const TOO_MUCH_UNREAD = 'too many answers are unread';

export class Connection implements CarrierOwner, SenderOwner, ReceiverOwner, GracefulShutdownOwner, UpkeepOwner {
  readonly peer: Peer;
  readonly wayBack = new WayBack();
  readonly room: RequestRoom;
  readonly unread: ByteBudget;
  readonly limits: Http2Limits;
  readonly settings = new PeerSettings();
  readonly streams: StreamTable;
  readonly writer: FrameWriter;
  readonly sender: Sender;
  readonly pings: Pings;
  readonly #shutdown: GracefulShutdown;
  readonly #upkeep: ConnectionUpkeep;
  readonly receiver: Receiver;
  readonly carrier: Carrier;
  readonly chunk = new ReceivedChunk();
  readonly #host: ConnectionHost;
  readonly #socket: Duplex;

  #receiving = false;
  #willFlush = false;
  #over = false;

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
    this.receiver = new Receiver(this);
    this.pings = new Pings(this);
    this.carrier = new Carrier(this);
    this.#shutdown = new GracefulShutdown(this, socket);
    this.#upkeep = new ConnectionUpkeep(this, this.#shutdown);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#unblock());
    // A peer that closes its end is gone: a client has no other use for half a connection.
    socket.on('end', () => socket.destroy());
    // An error of the socket shows in `close`.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#gone());
    this.writer.settings(ourSettings({ ...limits, maxConcurrentStreams }));
    this.flush();
  }

  get isOver(): boolean {
    return this.#over;
  }

  get hasSettings(): boolean {
    return this.receiver.hasSettings;
  }

  get unfinished(): number {
    return this.receiver.unfinished;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  get now(): number {
    return this.#host.now;
  }

  get protocol(): Protocol {
    return this.#host.protocol;
  }

  makeRoom(bytes: number): boolean {
    return this.#host.makeRoom(bytes, this);
  }

  limitReached(name: LimitName): void {
    this.#host.limitReached(name);
  }

  /** Writes all frames that are ready. */
  flush(): void {
    this.#willFlush = false;
    if (this.#over) return;
    // A client that leaves answers unread gets no room to ask for more.
    if (!this.isCrowded) this.receiver.data.reopen();
    this.sender.flush();
    this.#upkeep.blockedAt = this.sender.isBlocked ? (this.#upkeep.blockedAt ?? this.now) : undefined;
    // Bytes in the socket count without having been asked for.
    if (!this.#host.unread.has(0) && !this.#host.makeRoom(0, this)) {
      this.abort(ErrorCode.ENHANCE_YOUR_CALM, TOO_MUCH_UNREAD);
    } else if (this.#shutdown.isFinal && this.streams.size === 0 && !this.sender.isBlocked) {
      this.#over = true;
      this.#shutdown.close();
    }
  }

  /** Ends the connection at once: GOAWAY, and nothing after it. */
  abort(code: ErrorCode, text: string): void {
    if (this.#over) return;
    const canSay = !this.sender.isBlocked;
    if (canSay) {
      this.writer.goAway(this.carrier.lastTaken, code, text);
      this.writer.flush();
    }
    this.#over = true;
    this.carrier.endStreams();
    this.sender.close();
    this.receiver.close();
    if (canSay) this.#shutdown.close();
    else this.#socket.destroy();
  }

  /** Ends the connection when its calls have ended. */
  drain(): void {
    if (this.#over || this.#shutdown.announcedAt !== undefined) return;
    if (!this.receiver.hasSettings) {
      this.#socket.destroy();
      return;
    }
    this.#shutdown.announce();
  }

  abandon(): void {
    for (const stream of this.streams.all()) stream.exchange?.abandon();
  }

  /** To be called about once a second. */
  upkeep(): void {
    if (!this.#over) this.#upkeep.look();
  }

  touched(): void {
    if (this.#receiving || this.#willFlush || this.#over) return;
    this.#willFlush = true;
    this.#host.flushSoon(this);
  }

  // Questions of the receiving half.

  get intake(): Intake {
    // Section 6.8: it crossed the last GOAWAY, which announced that it is not accepted.
    if (this.#shutdown.isFinal) return 'ignore';
    if (this.isCrowded) {
      this.limitReached('maxUnreadBytes');
      return 'crowded';
    }
    if (this.streams.size < this.#host.maxConcurrentStreams) return 'take';
    this.limitReached('maxConcurrentStreams');
    return 'refuse';
  }

  takePingAnswer(opaque: Buffer): boolean {
    const answered = this.pings.answered(opaque);
    if (answered === 'ask') this.#shutdown.finish();
    return answered !== undefined;
  }

  #receive(chunk: Buffer): void {
    if (this.#over) return;
    this.#upkeep.receivedAt = this.now;
    this.#receiving = true;
    this.chunk.begin(chunk);
    try {
      this.receiver.push(chunk);
    } catch (error) {
      this.#fail(error);
    }
    this.#receiving = false;
    this.chunk.end();
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

  #unblock(): void {
    if (this.#over) return;
    this.#upkeep.blockedAt = undefined;
    this.wayBack.blocked(this.sender.unblock());
    this.flush();
  }

  #gone(): void {
    this.#over = true;
    this.#shutdown.gone();
    this.carrier.endStreams();
    this.sender.close();
    this.receiver.close();
    this.#host.closed(this);
  }
}
