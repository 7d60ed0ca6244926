/** Bodies to messages (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"). */

import { InferError } from '../../errors.ts';
import type { MessageLimit } from '../message-limit.ts';
import type { ByteBudget } from './byte-budget.ts';

const PREFIX_BYTES = 5;
const NOTHING = Buffer.alloc(0);

/** Takes what a reader finds. What it throws ends the reading. */
export interface MessageSink {
  /** @param isCompressed by the encoding that the request's head names */
  takeMessage(message: Buffer, isCompressed: boolean): void;
  /** A message begins of which more chunks are to come. @param byteLength as it was announced */
  beginMessage(byteLength: number): void;
}

/**
 * Cuts the body of one request into its messages.
 *
 * A message that lies within one chunk is a view of it. Another is put together once, in a buffer of its size, for which
 * there must be room in `budget`: its announced length is checked before anything is allocated.
 */
export class MessageReader {
  readonly #budget: ByteBudget;
  readonly #limit: MessageLimit;
  readonly #acceptsCompressed: boolean;
  readonly #sink: MessageSink;
  #prefixGot = 0;
  #flag = 0;
  #length = 0;
  /** The message that is being put together. */
  #assembly: Buffer | undefined;
  #assembled = 0;
  #closed = false;

  constructor(sink: MessageSink, budget: ByteBudget, limit: MessageLimit, acceptsCompressed: boolean) {
    this.#sink = sink;
    this.#budget = budget;
    this.#limit = limit;
    this.#acceptsCompressed = acceptsCompressed;
  }

  /** What of a message is to come that has begun. */
  get missingBytes(): number {
    return this.#prefixGot === PREFIX_BYTES ? this.#length - this.#assembled : 0;
  }

  /** There is a part of a message, or of its prefix. */
  get isInside(): boolean {
    return this.#prefixGot > 0;
  }

  /** @throws InferError malformed_message, limit_exceeded */
  read(chunk: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to && !this.#closed) {
      if (this.#prefixGot < PREFIX_BYTES) {
        if (this.#prefixGot === 0) this.#takeFlag(chunk[at] ?? 0);
        at = this.#prefix(chunk, at, to);
        if (this.#prefixGot < PREFIX_BYTES) return;
        if (this.#length > this.#limit.bytes) throw this.#limit.exceeded(this.#length);
      }
      at = this.#body(chunk, at, to);
    }
  }

  /** Nothing more is read, and what is held is given back. */
  close(): void {
    this.#closed = true;
    if (this.#assembly !== undefined) this.#budget.give(this.#length);
    this.#assembly = undefined;
  }

  /** Judged before the length has come: a peer that frames otherwise has no length there. */
  #takeFlag(flag: number): void {
    if (flag > 1) {
      throw new InferError('malformed_message', `the compressed-flag of the message is ${flag}, not 0 or 1`);
    }
    if (flag === 1 && !this.#acceptsCompressed) {
      throw new InferError('malformed_message', 'the message is compressed, but no grpc-encoding says how');
    }
    this.#flag = flag;
  }

  #prefix(chunk: Buffer, from: number, to: number): number {
    if (this.#prefixGot === 0 && to - from >= PREFIX_BYTES) {
      this.#length = chunk.readUInt32BE(from + 1);
      this.#prefixGot = PREFIX_BYTES;
      return from + PREFIX_BYTES;
    }
    this.#length = this.#prefixGot === 0 ? 0 : this.#length * 256 + (chunk[from] ?? 0);
    this.#prefixGot++;
    return this.#prefixGot < PREFIX_BYTES && from + 1 < to ? this.#prefix(chunk, from + 1, to) : from + 1;
  }

  #body(chunk: Buffer, from: number, to: number): number {
    const missing = this.#length - this.#assembled;
    const end = Math.min(to, from + missing);
    if (this.#assembly === undefined) {
      if (end - from === missing) {
        this.#deliver(missing === 0 ? NOTHING : chunk.subarray(from, end));
        return end;
      }
      if (end === from) return end;
      this.#assembly = this.#allocate();
      this.#sink.beginMessage(this.#length);
    }
    this.#assembled += chunk.copy(this.#assembly, this.#assembled, from, end);
    if (this.#assembled === this.#length) {
      const message = this.#assembly;
      this.#assembly = undefined;
      this.#budget.give(this.#length);
      this.#deliver(message);
    }
    return end;
  }

  #allocate(): Buffer {
    if (!this.#budget.tryTake(this.#length)) {
      throw new InferError('limit_exceeded', 'too many bytes of requests are on their way that are not complete');
    }
    return Buffer.allocUnsafeSlow(this.#length);
  }

  #deliver(message: Buffer): void {
    this.#prefixGot = 0;
    this.#assembled = 0;
    this.#sink.takeMessage(message, this.#flag === 1);
  }
}
