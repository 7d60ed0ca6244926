/**
 * A ModelInferRequest that is taken apart as it arrives: its raw tensors land, and everything else is kept as the message's head.
 *
 * It judges nothing. From the first field on that clients do not write so, the rest of the message stays in the head, and the
 * decoder takes it or refuses it. Such fields are groups, tags in more bytes than they need, and lengths beyond the message. So are
 * more tensors than a message usually has.
 *
 * HEAD-1: the head, and the tensors as fields before those that are in it, are the message: decoding both gives the same request.
 */

import type { TensorBytes } from '../../../wire/tensor-bytes.ts';
import type { Arriving } from '../../landing/arriving.ts';
import type { Landing } from '../../landing/landing.ts';

/** `raw_input_contents`, length-delimited, in its only form of one byte. */
const RAW_FIELD = 7;
const RAW_TAG = 0x3a;
/** More tensors stay in the head, where the decoder counts them. */
const MAX_TENSORS = 64;
/** A smaller tensor stays in memory: a read of its own in the runner costs more than its copy. */
const LEAST_LANDED_BYTES = 16 * 1024;
/** A field that is larger, such as typed contents: nothing else of the message is worth looking for. */
const MOST_FIELD_BYTES = 64 * 1024;
/** Nor is it worth looking through more fields. */
const MOST_FIELDS = 1024;
const FIRST_HEAD_BYTES = 1024;
/** A varint of 32 bits, and of 64. */
const MAX_TAG_BYTES = 5;
const MAX_VARINT_BYTES = 10;
const MAX_TAG = 0xffff_ffff;

const At = { TAG: 0, LENGTH: 1, VARINT: 2, SKIP: 3, TENSOR: 4, REST: 5 } as const;
type At = (typeof At)[keyof typeof At];

/** Where a tensor goes as it arrives. */
interface Target {
  readonly bytes: TensorBytes;
  append(chunk: Buffer, from: number, to: number): void;
}

export class LandingMessage {
  readonly #landing: Landing;
  readonly #byteLength: number;
  #received = 0;
  #head = Buffer.allocUnsafeSlow(FIRST_HEAD_BYTES);
  #headBytes = 0;
  readonly #targets: Target[] = [];
  #at: At = At.TAG;
  /** The varint that is being read: its value so far, and its bytes. */
  #value = 0;
  #digits = 0;
  /** Where the field that is being read begins in the head. */
  #fieldStart = 0;
  #fields = 0;
  #isRaw = false;
  /** Bytes of the field that are still to come. */
  #left = 0;

  /** @param byteLength of the message */
  constructor(landing: Landing, byteLength: number) {
    this.#landing = landing;
    this.#byteLength = byteLength;
  }

  get missingBytes(): number {
    return this.#byteLength - this.#received;
  }

  /** All of the message but the tensors. Valid when nothing is missing. */
  get head(): Buffer {
    return this.#head.subarray(0, this.#headBytes);
  }

  /** The tensors that are not in the head, in order. */
  get tensors(): readonly TensorBytes[] {
    return this.#targets.map(({ bytes }) => bytes);
  }

  /** Takes the next bytes; never more than are missing. */
  append(chunk: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to) {
      const end = this.#step(chunk, at, to);
      this.#received += end - at;
      at = end;
    }
  }

  /** Frees the room of a message that is given up. */
  release(): void {
    for (const { bytes } of this.#targets) if (!(bytes instanceof Uint8Array)) bytes.release();
  }

  #step(chunk: Buffer, at: number, to: number): number {
    switch (this.#at) {
      case At.TENSOR:
      case At.SKIP: {
        const end = Math.min(to, at + this.#left);
        if (this.#at === At.SKIP) this.#keep(chunk, at, end);
        else this.#targets.at(-1)?.append(chunk, at, end);
        this.#left -= end - at;
        if (this.#left === 0) this.#nextField();
        return end;
      }
      case At.REST:
        this.#keep(chunk, at, to);
        return to;
      default:
        this.#keep(chunk, at, at + 1);
        this.#digit(chunk[at] ?? 0);
        return at + 1;
    }
  }

  /** One byte of a tag, a length or a value. */
  #digit(byte: number): void {
    this.#value += (byte & 0x7f) * 2 ** (7 * this.#digits);
    this.#digits++;
    if (byte >= 0x80) {
      if (this.#digits === (this.#at === At.VARINT ? MAX_VARINT_BYTES : MAX_TAG_BYTES)) this.#at = At.REST;
      return;
    }
    const value = this.#value;
    const digits = this.#digits;
    this.#value = 0;
    this.#digits = 0;
    if (this.#at === At.TAG) this.#tag(value, digits);
    else if (this.#at === At.LENGTH) this.#length(value);
    else this.#nextField();
  }

  #tag(tag: number, digits: number): void {
    const field = Math.floor(tag / 8);
    this.#isRaw = field === RAW_FIELD;
    this.#fields++;
    const isOdd =
      field === 0 || this.#fields > MOST_FIELDS || tag > MAX_TAG || (this.#isRaw && (tag !== RAW_TAG || digits !== 1));
    switch (isOdd ? undefined : tag % 8) {
      case 0:
        this.#at = At.VARINT;
        break;
      case 1:
        this.#skip(8);
        break;
      case 2:
        this.#at = At.LENGTH;
        break;
      case 5:
        this.#skip(4);
        break;
      default:
        this.#at = At.REST;
    }
  }

  #length(length: number): void {
    // The last byte of the length is not counted yet.
    const left = this.missingBytes - 1;
    if (length > left) this.#at = At.REST;
    else if (this.#isRaw) this.#tensor(length);
    else if (length > MOST_FIELD_BYTES) this.#at = At.REST;
    else this.#skip(length);
    if (this.#at === At.REST) this.#reserve(this.#headBytes + left);
  }

  #tensor(length: number): void {
    if (this.#targets.length === MAX_TENSORS) {
      this.#at = At.REST;
      return;
    }
    this.#headBytes = this.#fieldStart;
    const landed = length < LEAST_LANDED_BYTES ? undefined : this.#landing.tryLand(length);
    this.#targets.push(landed === undefined ? new InMemory(length) : new InFile(landed));
    this.#left = length;
    if (length === 0) this.#nextField();
    else this.#at = At.TENSOR;
  }

  #skip(bytes: number): void {
    this.#left = bytes;
    if (bytes === 0) this.#nextField();
    else this.#at = At.SKIP;
  }

  #nextField(): void {
    this.#at = At.TAG;
    this.#fieldStart = this.#headBytes;
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    const bytes = this.#headBytes + to - from;
    if (bytes > this.#head.length) this.#reserve(Math.max(bytes, Math.min(this.#byteLength, 2 * this.#head.length)));
    if (to - from === 1) this.#head[this.#headBytes] = chunk[from] ?? 0;
    else chunk.copy(this.#head, this.#headBytes, from, to);
    this.#headBytes = bytes;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#head.length) return;
    const head = Buffer.allocUnsafeSlow(bytes);
    this.#head.copy(head, 0, 0, this.#headBytes);
    this.#head = head;
  }
}

class InMemory implements Target {
  readonly bytes: Buffer;
  #arrived = 0;

  constructor(byteLength: number) {
    this.bytes = Buffer.allocUnsafeSlow(byteLength);
  }

  append(chunk: Buffer, from: number, to: number): void {
    this.#arrived += chunk.copy(this.bytes, this.#arrived, from, to);
  }
}

class InFile implements Target {
  readonly bytes: Arriving;

  constructor(landed: Arriving) {
    this.bytes = landed;
  }

  append(chunk: Buffer, from: number, to: number): void {
    this.bytes.append(chunk, from, to);
  }
}
