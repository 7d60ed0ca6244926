/** Bodies to messages (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"). */

import { Claim, claimOf } from '../../../http2/byte-budget.ts';
import { freeOwnBuffer } from '../../../http2/own-buffer.ts';
import type { TensorBytes } from '../../../wire/tensor-bytes.ts';
import { InferError } from '../../errors.ts';
import type { Landing } from '../../landing/landing.ts';
import type { MessageLimit } from '../message-limit.ts';
import { LandingMessage } from './landing-message.ts';
import { PREFIX_BYTES } from './message-prefix.ts';
import { noRoom } from './no-room.ts';

const NOTHING = Buffer.alloc(0);
/** A shorter message is put together for less than a run reads it from a file of its own. */
const LEAST_LANDED_BYTES = 64 * 1024;

/** Takes what a reader finds. What it throws ends the reading. */
export interface MessageSink {
  /**
   * @param isCompressed by the encoding that the request's head names
   * @param heldBytes of the reader's room, which are the sink's to give back
   * @param tensors that landed beside the message, which are the sink's to release
   */
  takeMessage(message: Buffer, isCompressed: boolean, heldBytes: number, tensors?: readonly TensorBytes[]): void;
}

/** Where a reader takes room for messages that are not complete. */
export interface Room {
  /** False: there is none, and nothing was taken. */
  tryTake(bytes: number, claim: Claim): boolean;
  give(bytes: number): void;
  /** A message is a view of the chunk that is being read: the chunk must not be freed. */
  keepChunk(): void;
}

/**
 * Cuts the body of one request into its messages.
 *
 * A message that lies within one chunk is a view of it. Another is put together in a buffer, for which there must be room. The
 * buffer has the announced size while room is plenty, so that nothing is copied twice; otherwise it grows with what arrives, so
 * that a peer that only announces holds nothing. With a landing, the tensors of a large message go there as they arrive, if room
 * is plenty.
 */
export class MessageReader {
  readonly #room: Room;
  readonly #limit: MessageLimit;
  readonly #acceptsCompressed: boolean;
  readonly #sink: MessageSink;
  #prefixGot = 0;
  #flag = 0;
  #length = 0;
  /** The message that is being put together. */
  #assembly: Buffer | undefined;
  #assembled = 0;
  readonly #landing: Landing | undefined;
  /** The message that is taken apart as it comes, instead. */
  #landed: LandingMessage | undefined;
  #closed = false;

  /** @param landing for the tensors of messages that are inference requests; `undefined` for others */
  constructor(sink: MessageSink, room: Room, limit: MessageLimit, acceptsCompressed: boolean, landing?: Landing) {
    this.#sink = sink;
    this.#room = room;
    this.#limit = limit;
    this.#acceptsCompressed = acceptsCompressed;
    this.#landing = landing;
  }

  get heldBytes(): number {
    return this.#landed === undefined ? (this.#assembly?.length ?? 0) : this.#length;
  }

  /** Bytes of the message under way that have not come. */
  get missingBytes(): number {
    if (this.#landed !== undefined) return this.#landed.missingBytes;
    return this.#prefixGot === PREFIX_BYTES ? this.#length - this.#assembled : 0;
  }

  /** A message, or its prefix, has come in part. */
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

  /** Stops reading and frees the charged memory. */
  close(): void {
    this.#closed = true;
    if (this.#landed !== undefined) {
      this.#room.give(this.#length);
      this.#landed.release();
      this.#landed = undefined;
    }
    if (this.#assembly === undefined) return;
    this.#room.give(this.#assembly.length);
    freeOwnBuffer(this.#assembly);
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
    if (this.#landed !== undefined) return this.#land(this.#landed, chunk, from, to);
    const missing = this.#length - this.#assembled;
    const end = Math.min(to, from + missing);
    if (this.#assembly === undefined) {
      if (end - from === missing) {
        this.#room.keepChunk();
        this.#deliver(missing === 0 ? NOTHING : chunk.subarray(from, end), 0);
        return end;
      }
      if (end === from) return end;
      this.#landed = this.#tryLand();
      if (this.#landed !== undefined) return this.#land(this.#landed, chunk, from, to);
    }
    const assembly = this.#assemblyOf(this.#assembled + end - from);
    this.#assembled += chunk.copy(assembly, this.#assembled, from, end);
    if (this.#assembled === this.#length) {
      this.#assembly = undefined;
      this.#deliver(assembly, assembly.length);
    }
    return end;
  }

  /** Only where there is room for all of the message: what lands does not grow. */
  #tryLand(): LandingMessage | undefined {
    if (this.#landing === undefined || this.#flag === 1 || this.#length < LEAST_LANDED_BYTES) return undefined;
    return this.#room.tryTake(this.#length, Claim.AHEAD) ? new LandingMessage(this.#landing, this.#length) : undefined;
  }

  #land(landed: LandingMessage, chunk: Buffer, from: number, to: number): number {
    const end = Math.min(to, from + landed.missingBytes);
    landed.append(chunk, from, end);
    if (landed.missingBytes > 0) return end;
    this.#landed = undefined;
    this.#deliver(landed.head, this.#length, landed.tensors);
    return end;
  }

  /** The buffer of the message, with room for its first `bytes` bytes. */
  #assemblyOf(bytes: number): Buffer {
    const before = this.#assembly;
    const size = before?.length ?? 0;
    if (before !== undefined && bytes <= size) return before;
    const assembly = Buffer.allocUnsafeSlow(this.#takeRoom(bytes, size));
    before?.copy(assembly, 0, 0, this.#assembled);
    if (before !== undefined) freeOwnBuffer(before);
    this.#assembly = assembly;
    return assembly;
  }

  /** @returns the new size of a buffer of `size` bytes that `bytes` are to fit in */
  #takeRoom(bytes: number, size: number): number {
    if (this.#room.tryTake(this.#length - size, Claim.AHEAD)) return this.#length;
    const grown = Math.min(this.#length, Math.max(bytes, 2 * size));
    if (this.#room.tryTake(grown - size, claimOf(this.#length))) return grown;
    throw noRoom();
  }

  #deliver(message: Buffer, heldBytes: number, tensors?: readonly TensorBytes[]): void {
    this.#prefixGot = 0;
    this.#assembled = 0;
    this.#sink.takeMessage(message, this.#flag === 1, heldBytes, tensors);
  }
}
