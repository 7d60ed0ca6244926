/**
 * The sending half of a connection: flow control, the order of streams, and when to write.
 *
 * SEND-1: a small answer that nothing holds back is written into the slab at once; everything else waits in its stream's queue,
 *     where the budget of unread answers counts it.
 * SEND-2: streams are served round-robin, `QUANTUM_BYTES` each; one without a window waits until its window opens.
 * SEND-3: while the socket is full nothing is made ready but control frames, and of those the allowances bound the number.
 * SEND-4: trailers need no window, but they wait for SEND-3 like everything else.
 */

import type { ByteBudget } from './byte-budget.ts';
import { Flag, FrameType, INITIAL_WINDOW_BYTES, MAX_WINDOW_BYTES } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { ResponseHeaders } from './response-headers.ts';
import type { PeerSettings } from './settings.ts';
import type { Http2Stream } from './stream.ts';

/** One write: enough to keep a fast peer busy, and little for a slow one to leave in the socket. */
const WRITE_BYTES = 512 * 1024;
/** Bytes that a stream sends in one round. */
const QUANTUM_BYTES = 64 * 1024;
/** Up to here a message is copied behind its frame header; beyond, a view costs less. */
const SMALL_BYTES = 8 * 1024;
/** Memory of a stream whose end waits to be sent: its objects, and its status. */
const END_BYTES = 2 * 1024;

/** Dependencies of a sender, which its connection gives. */
export interface SenderOwner {
  /** Receives each stream whose answer was handed to the socket, END_STREAM and all. */
  readonly carrier: { answered(stream: Http2Stream): void };
  /** Something is to be flushed at the end of this turn of the event loop. */
  touched(): void;
}

export class Sender {
  readonly #writer: FrameWriter;
  readonly #settings: PeerSettings;
  readonly #unread: ByteBudget;
  readonly #owner: SenderOwner;
  readonly #headers: ResponseHeaders;
  #ready: Http2Stream[] = [];
  #drained: Http2Stream[] = [];
  #window = INITIAL_WINDOW_BYTES;
  #blocked = false;
  /** On the clock of `performance.now()`. */
  #blockedAt = 0;
  /** Part of the budget for bytes that the socket has not taken. */
  #inSocket = 0;

  constructor(
    writer: FrameWriter,
    settings: PeerSettings,
    unread: ByteBudget,
    headers: ResponseHeaders,
    owner: SenderOwner,
  ) {
    this.#writer = writer;
    this.#headers = headers;
    this.#settings = settings;
    this.#unread = unread;
    this.#owner = owner;
  }

  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** @returns false: the budget has no room, and nothing was taken */
  data(stream: Http2Stream, prefix: Uint8Array, chunks: readonly Uint8Array[], byteLength: number): boolean {
    const total = prefix.length + byteLength;
    if (total <= SMALL_BYTES && this.#canWrite(stream, total)) {
      stream.sendWindow -= total;
      this.#window -= total;
      this.#head(stream);
      this.#writer.header(total, FrameType.DATA, 0, stream.id);
      this.#writer.copy(prefix);
      for (const chunk of chunks) this.#writer.copy(chunk);
      stream.memory?.giveBack();
      stream.memory = undefined;
    } else {
      if (!this.#unread.tryTake(total)) return false;
      stream.queue.push(Buffer.from(prefix));
      for (const chunk of chunks) stream.queue.push(chunk);
      this.#queue(stream);
    }
    this.#owner.touched();
    return true;
  }

  /** Trailers follow the pending data. */
  end(stream: Http2Stream): void {
    if (stream.unsentBytes === 0 && this.#hasRoom()) this.#trailers(stream);
    else {
      this.#holdEnd(stream);
      this.#queue(stream);
    }
    this.#owner.touched();
  }

  /** The head goes out at once; the body, though it may be empty, and END_STREAM are queued. */
  plain(stream: Http2Stream, httpStatus: number, body: Buffer): void {
    const block = this.#headers.plain(httpStatus);
    this.#writer.headerBlock(stream.id, block, 0, this.#settings.maxFrameBytes);
    stream.headSent = true;
    stream.isPlain = true;
    this.#holdEnd(stream);
    this.#unread.take(body.length);
    stream.queue.push(body);
    this.#queue(stream);
    this.#owner.touched();
  }

  /** WINDOW_UPDATE of the connection (RFC 9113, section 6.9). False: the window is larger than may be. */
  open(increment: number): boolean {
    this.#window += increment;
    return this.#window <= MAX_WINDOW_BYTES;
  }

  /** WINDOW_UPDATE of a stream, or SETTINGS_INITIAL_WINDOW_SIZE, which may also close it (section 6.9.2). */
  openStream(stream: Http2Stream, increment: number): boolean {
    stream.sendWindow += increment;
    if (stream.unsentBytes > 0) this.#queue(stream);
    return stream.sendWindow <= MAX_WINDOW_BYTES;
  }

  settingsChanged(): void {
    this.#headers.setTableSize(this.#settings.headerTableBytes);
  }

  /** The stream is over: what it has not sent is dropped. */
  forget(stream: Http2Stream): void {
    this.#unread.give(stream.unsentBytes + stream.endBytes);
    stream.endBytes = 0;
    if (stream.isQueued) this.#ready.splice(this.#ready.indexOf(stream), 1);
    stream.isQueued = false;
  }

  /** Writes ready frames, as far as the socket takes them. */
  flush(): void {
    if (this.#blocked) {
      this.#countSocket();
      return;
    }
    let more = true;
    while (more) {
      this.#serveRound();
      const { size } = this.#writer;
      if (size > 0) this.#blocked = !this.#writer.flush();
      more = size >= WRITE_BYTES && !this.#blocked;
    }
    if (this.#blocked) {
      this.#blockedAt = performance.now();
      this.#countSocket();
    } else {
      this.#writer.giveBack();
    }
    if (this.#drained.length > 0) this.#notifyDrained();
  }

  /**
   * The socket has taken everything: `flush` goes on.
   * @returns for how long it was full, in milliseconds
   */
  unblock(): number {
    const blockedMs = this.#blocked ? performance.now() - this.#blockedAt : 0;
    this.#unread.give(this.#inSocket);
    this.#inSocket = 0;
    this.#blocked = false;
    return blockedMs;
  }

  close(): void {
    this.#unread.give(this.#inSocket);
    this.#inSocket = 0;
    this.#blocked = true;
  }

  /** Control frames go on being made while the socket takes nothing. */
  #countSocket(): void {
    const bytes = this.#writer.unwritten + this.#writer.size;
    this.#unread.take(bytes - this.#inSocket);
    this.#inSocket = bytes;
  }

  #holdEnd(stream: Http2Stream): void {
    this.#unread.take(END_BYTES - stream.endBytes);
    stream.endBytes = END_BYTES;
  }

  #hasRoom(): boolean {
    return !this.#blocked && this.#writer.size < WRITE_BYTES;
  }

  #canWrite(stream: Http2Stream, bytes: number): boolean {
    return this.#hasRoom() && stream.unsentBytes === 0 && bytes <= stream.sendWindow && bytes <= this.#window;
  }

  #queue(stream: Http2Stream): void {
    if (stream.isQueued) return;
    stream.isQueued = true;
    this.#ready.push(stream);
  }

  /** Serves streams until the write is full, or a whole round has sent nothing. */
  #serveRound(): void {
    let idle = 0;
    while (idle < this.#ready.length && this.#writer.size < WRITE_BYTES) {
      const stream = this.#ready.shift() as Http2Stream;
      stream.isQueued = false;
      const bytes = this.#serve(stream);
      if (stream.isOver) continue;
      if (stream.emptied()) this.#drained.push(stream);
      // Without a window of its own it comes back by `openStream`.
      if (stream.unsentBytes > 0 && stream.sendWindow > 0) this.#queue(stream);
      idle = bytes > 0 ? 0 : idle + 1;
    }
  }

  /** @returns how many bytes of its queue were sent */
  #serve(stream: Http2Stream): number {
    let sent = 0;
    while (sent < QUANTUM_BYTES && stream.unsentBytes > 0) {
      const allowed = Math.min(stream.sendWindow, this.#window, this.#settings.maxFrameBytes);
      const bytes = Math.min(stream.unsentBytes, allowed);
      if (bytes <= 0) break;
      this.#head(stream);
      stream.sendWindow -= bytes;
      this.#window -= bytes;
      sent += bytes;
      const isLast = stream.isPlain && bytes === stream.unsentBytes;
      this.#writer.header(bytes, FrameType.DATA, isLast ? Flag.END_STREAM : 0, stream.id);
      stream.queue.moveTo(this.#writer, bytes);
      if (isLast) this.#owner.carrier.answered(stream);
    }
    this.#unread.give(sent);
    if (stream.unsentBytes === 0) {
      if (stream.memory !== undefined) this.#writer.lend(stream.memory);
      stream.memory = undefined;
      if (!stream.isOver) this.#endAnswer(stream);
    }
    return sent;
  }

  /** The queue of the stream is empty: its end follows. */
  #endAnswer(stream: Http2Stream): void {
    if (stream.isPlain) {
      // No DATA frame of an empty body has ended it.
      this.#writer.header(0, FrameType.DATA, Flag.END_STREAM, stream.id);
      this.#owner.carrier.answered(stream);
    } else this.#trailers(stream);
  }

  #head(stream: Http2Stream): void {
    if (stream.headSent) return;
    stream.headSent = true;
    this.#writer.headerBlock(stream.id, this.#headers.head(), 0, this.#settings.maxFrameBytes);
  }

  #trailers(stream: Http2Stream): void {
    if (stream.end === undefined) return;
    const block = this.#headers.trailers(stream.end, !stream.headSent, this.#settings.maxHeaderListBytes);
    stream.headSent = true;
    this.#writer.headerBlock(stream.id, block, Flag.END_STREAM, this.#settings.maxFrameBytes);
    this.#owner.carrier.answered(stream);
  }

  #notifyDrained(): void {
    const streams = this.#drained;
    this.#drained = [];
    for (const stream of streams) if (!stream.isOver) stream.exchange?.drained();
  }
}
