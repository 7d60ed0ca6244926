/**
 * Records on their way from one thread to another: all records of one turn of the event loop go as one message.
 *
 * A parcel is a transferred ArrayBuffer, so nothing is shared and nothing has to be given back: its receiver takes views. It costs
 * no more than a ring buffer in shared memory (docs/performance.md), and saves a copy. Large messages are transferred as buffers
 * of their own beside it.
 *
 * PARCEL-1: the records are freed when they have been read to their end and all messages in them were given back. Bytes that were
 *           read from them are empty then: code that keeps bytes besides messages keeps a copy.
 */

import { type LentMemory, OnceUsed } from '../../../http2/lent-memory.ts';

/** A parcel as it is posted: its records, and the large messages that records refer to by number. */
export type Parcel = readonly [records: ArrayBuffer, ...attachments: ArrayBuffer[]];

/** A message at least as long as this goes in a buffer of its own. To hand one over costs as much as to copy some 30 KB. */
const ATTACHED_BYTES = 32 * 1024;
const FIRST_BYTES = 64 * 1024;
/** A buffer that one busy turn has made larger than this is not kept. */
const KEPT_BYTES = 1024 * 1024;
/** A buffer that is filled to this share is posted as it is, and a smaller part of one as a copy. */
const FULL_SHARE = 0.5;
/** The records begin with their length: the buffer may be longer. */
const LENGTH_BYTES = 4;
const INLINE = 0;
const ATTACHED = 1;

export class ParcelWriter {
  #records = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #at = LENGTH_BYTES;
  #attachments: ArrayBuffer[] = [];
  #attachedBytes = 0;

  get isEmpty(): boolean {
    return this.#at === LENGTH_BYTES;
  }

  /** Bytes of the records and of the attachments. */
  get byteLength(): number {
    return this.#at + this.#attachedBytes;
  }

  /** Begins a record about a call, or about something else that has a number. @returns this */
  begin(kind: number, number: number): this {
    this.byte(kind);
    this.uint32(number);
    return this;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#records[this.#at++] = value;
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.#at = this.#records.writeUInt32LE(value >>> 0, this.#at);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#at = this.#records.writeDoubleLE(value, this.#at);
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.byteLength);
    this.#append(value);
  }

  text(value: string): void {
    // Three bytes at most for a unit of UTF-16.
    this.#reserve(4 + 3 * value.length);
    const byteLength = this.#records.write(value, this.#at + 4, 'utf8');
    this.#records.writeUInt32LE(byteLength, this.#at);
    this.#at += 4 + byteLength;
  }

  /**
   * Adds a message. A long one that is a buffer of its own is handed over when the parcel is posted; of any other there is a copy
   * now, so that its memory may change at once.
   * @param mayHandOver no one reads `chunks` after this
   */
  message(chunks: readonly Uint8Array[], byteLength: number, mayHandOver: boolean): 'copied' | 'handed-over' {
    const [first] = chunks;
    if (byteLength < ATTACHED_BYTES) {
      this.byte(INLINE);
      this.uint32(byteLength);
      for (const chunk of chunks) this.#append(chunk);
    } else if (mayHandOver && chunks.length === 1 && first !== undefined && isOwnBuffer(first)) {
      this.#attach(first.buffer as ArrayBuffer);
      return 'handed-over';
    } else {
      const copy = Buffer.allocUnsafeSlow(byteLength);
      let at = 0;
      for (const chunk of chunks) {
        copy.set(chunk, at);
        at += chunk.byteLength;
      }
      this.#attach(copy.buffer);
    }
    return 'copied';
  }

  /** Gives everything written so far; the writer is empty afterwards. */
  take(): Parcel {
    this.#records.writeUInt32LE(this.#at, 0);
    const records = this.#takeRecords();
    const attachments = this.#attachments;
    this.#at = LENGTH_BYTES;
    this.#attachments = [];
    this.#attachedBytes = 0;
    return [records, ...attachments];
  }

  #takeRecords(): ArrayBuffer {
    const written = this.#records;
    const isFull = this.#at >= FULL_SHARE * written.length;
    // The next turn of the event loop says about as much as this one.
    if (isFull || written.length > KEPT_BYTES)
      this.#records = Buffer.allocUnsafeSlow(Math.min(written.length, KEPT_BYTES));
    if (isFull) return written.buffer;
    const copy = Buffer.allocUnsafeSlow(this.#at);
    written.copy(copy, 0, 0, this.#at);
    return copy.buffer;
  }

  #attach(buffer: ArrayBuffer): void {
    this.byte(ATTACHED);
    this.uint32(this.#attachments.push(buffer));
    this.#attachedBytes += buffer.byteLength;
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.byteLength);
    this.#records.set(bytes, this.#at);
    this.#at += bytes.byteLength;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#records.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#records.length));
    this.#records.copy(grown, 0, 0, this.#at);
    this.#records = grown;
  }
}

function isOwnBuffer({ buffer, byteLength }: Uint8Array): boolean {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
}

/** A message that was read, and its memory: to be given back when no view of the bytes is left, or left to the collector. */
export interface ReceivedMessage {
  readonly bytes: Buffer;
  readonly memory: LentMemory;
}

/** Reads the records of one parcel in the order in which they were written. Bytes are views of it. */
export class ParcelReader {
  readonly #records: Buffer;
  readonly #attachments: readonly ArrayBuffer[];
  readonly #memory: RecordsMemory;
  readonly #end: number;
  #at = LENGTH_BYTES;

  constructor([records, ...attachments]: Parcel) {
    this.#records = Buffer.from(records);
    this.#end = this.#records.readUInt32LE(0);
    this.#attachments = attachments;
    this.#memory = new RecordsMemory(records);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#end;
  }

  /** All has been read. */
  close(): void {
    this.#memory.giveBack();
  }

  byte(): number {
    return this.#records[this.#at++] ?? 0;
  }

  uint32(): number {
    const value = this.#records.readUInt32LE(this.#at);
    this.#at += 4;
    return value;
  }

  double(): number {
    const value = this.#records.readDoubleLE(this.#at);
    this.#at += 8;
    return value;
  }

  /** A view that ends with the reader. */
  bytes(): Buffer {
    return this.#view(this.uint32());
  }

  text(): string {
    const byteLength = this.uint32();
    const from = this.#at;
    this.#at += byteLength;
    return this.#records.toString('utf8', from, this.#at);
  }

  message(): ReceivedMessage {
    const isAttached = this.byte() === ATTACHED;
    const value = this.uint32();
    if (!isAttached) return { bytes: this.#view(value), memory: this.#memory.lend() };
    const bytes = Buffer.from(this.#attachments[value - 1] ?? new ArrayBuffer(0));
    return { bytes, memory: new OnceUsed(bytes) };
  }

  #view(byteLength: number): Buffer {
    const from = this.#at;
    this.#at += byteLength;
    return this.#records.subarray(from, this.#at);
  }
}

/** The records of one parcel: lent to their reader, and to each message in them. */
class RecordsMemory implements LentMemory {
  readonly #records: ArrayBuffer;
  #holders = 1;

  constructor(records: ArrayBuffer) {
    this.#records = records;
  }

  lend(): this {
    this.#holders++;
    return this;
  }

  giveBack(): void {
    this.#holders--;
    if (this.#holders === 0) this.#records.transfer(0);
  }
}
