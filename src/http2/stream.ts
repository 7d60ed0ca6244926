/** One stream: what the connection knows of it, and the only way in which its exchange answers. */

import type { Claim } from './byte-budget.ts';
import type { ErrorCode } from './error-code.ts';
import type { Exchange } from './exchange.ts';
import type { LentMemory } from './lent-memory.ts';
import type { Peer } from './peer.ts';
import { ReceiveWindow } from './receive-window.ts';
import { SendQueue } from './send-queue.ts';
import { StreamState } from './stream-state.ts';
import type { WayBack } from './way-back.ts';

/** Where streams take room for what they hold of their requests. */
interface StreamRoom {
  /** False: there is none, and nothing was taken. */
  tryTake(stream: Http2Stream, bytes: number, claim: Claim): boolean;
  give(bytes: number): void;
}

interface StreamChunk {
  keep(): void;
  drop(message: Uint8Array): void;
}

export interface StreamCarrier {
  readonly peer: Peer;
  readonly wayBack: WayBack;
  /** The peer has room in the window of the connection. */
  readonly maySend: boolean;
  /** For what a stream holds of its request. */
  readonly room: StreamRoom;
  /** The chunk that is being read: messages may be views of it. */
  readonly chunk: StreamChunk;
  send(stream: Http2Stream, prefix: Uint8Array, chunks: readonly Uint8Array[], byteLength: number): boolean;
  sendEnd(stream: Http2Stream, end: object): void;
  sendPlain(stream: Http2Stream, httpStatus: number, body: Buffer): void;
  resetStream(stream: Http2Stream, code: ErrorCode): void;
  reopenWindow(stream: Http2Stream): void;
}

/** Unsent bytes at which `isFull` becomes true, and at which there is room again. */
const HIGH_WATER_BYTES = 1024 * 1024;
const LOW_WATER_BYTES = 256 * 1024;

/** @typeParam End how an answer ends, as the protocol over HTTP/2 says it; see `ResponseHeaders.trailers` */
export class Http2Stream<End extends object = object> {
  readonly id: number;
  state: StreamState = StreamState.OPEN;
  /** Sets itself, before it answers. */
  exchange: Exchange | undefined = undefined;

  // The request.
  readonly window: ReceiveWindow;
  /** `content-length`, and how much of it came. */
  contentLength: number | undefined = undefined;
  received = 0;
  /** On the clock of the connection's host. */
  readonly openedAt: number;

  // The answer.
  sendWindow: number;
  headSent = false;
  /** How it ends, once that is known. */
  end: End | undefined = undefined;
  /** Bytes of the budget of unread answers that its end takes while it waits. */
  endBytes = 0;
  /** The last DATA frame ends it, and no trailers. */
  isPlain = false;
  /** Memory that waiting parts of the answer are views of, where it can be used again: of one `send` at most. */
  memory: LentMemory | undefined = undefined;
  /** Its sender serves it in the next round. */
  isQueued = false;
  /** `undefined`: nothing had to wait, as with nearly all answers. */
  #queue: SendQueue | undefined = undefined;
  #full = false;

  readonly #carrier: StreamCarrier;

  constructor(carrier: StreamCarrier, id: number, terms: StreamTerms) {
    this.#carrier = carrier;
    this.id = id;
    this.window = new ReceiveWindow(terms.receiveWindowBytes);
    this.sendWindow = terms.sendWindowBytes;
    this.openedAt = terms.openedAt;
  }

  get peer(): Peer {
    return this.#carrier.peer;
  }

  /** Time that an answer needs to its caller, in milliseconds. */
  get wayBackMs(): number {
    return this.#carrier.wayBack.ms;
  }

  tryTake(bytes: number, claim: Claim): boolean {
    return this.#carrier.room.tryTake(this, bytes, claim);
  }

  give(bytes: number): void {
    this.#carrier.room.give(bytes);
  }

  keepChunk(): void {
    this.#carrier.chunk.keep();
  }

  /** A message is no longer needed, after a possible `keepChunk`. */
  dropMessage(message: Uint8Array): void {
    this.#carrier.chunk.drop(message);
  }

  /** Whether the peer may send more of this request now. */
  get maySend(): boolean {
    return this.window.isOpen && this.#carrier.maySend;
  }

  /** Neither side sends any more. */
  get isOver(): boolean {
    return this.state === StreamState.CLOSED || this.state === StreamState.RESET;
  }

  get queue(): SendQueue {
    this.#queue ??= new SendQueue();
    return this.#queue;
  }

  get unsentBytes(): number {
    return this.#queue === undefined ? 0 : this.#queue.byteLength;
  }

  /** Too much is unsent; `exchange.drained` reports when that is over. */
  get isFull(): boolean {
    this.#full ||= this.unsentBytes >= HIGH_WATER_BYTES;
    return this.#full;
  }

  /** @returns whether there is room again, which is said once */
  emptied(): boolean {
    if (!this.#full || this.unsentBytes > LOW_WATER_BYTES) return false;
    this.#full = false;
    return true;
  }

  /**
   * Sends a part of the answer's body, behind the head where that was not sent before.
   * @param prefix a few bytes that come first, and may change afterwards
   * @param chunks the other parts, `byteLength` in all; they must not change afterwards
   * @param memory of the chunks, only with the last `send`: it is given back once they are written, and they may change then
   * @returns false: the peer leaves too much unread, and nothing of it was sent
   */
  send(prefix: Uint8Array, chunks: readonly Uint8Array[], byteLength: number, memory?: LentMemory): boolean {
    if (this.isOver) return true;
    this.memory = memory;
    return this.#carrier.send(this, prefix, chunks, byteLength);
  }

  /** Ends the answer with trailers, behind all that was sent before. */
  sendEnd(end: End): void {
    if (!this.isOver) this.#carrier.sendEnd(this, end);
  }

  /** Answers with a text, and no trailers. */
  sendPlain(httpStatus: number, body: Buffer): void {
    if (!this.isOver) this.#carrier.sendPlain(this, httpStatus, body);
  }

  reset(code: ErrorCode): void {
    if (!this.isOver) this.#carrier.resetStream(this, code);
  }

  /** Lets the peer send what the exchange wants. */
  reopenWindow(): void {
    if (!this.isOver) this.#carrier.reopenWindow(this);
  }
}

export interface StreamTerms {
  readonly receiveWindowBytes: number;
  readonly sendWindowBytes: number;
  readonly openedAt: number;
}
