import { frameSizeError, LimitError, protocolError } from './error-code.ts';
import { Flag, readUint31 } from './frame.ts';
import type { HpackDecoder } from './hpack-decoder.ts';
import type { RequestHead } from './request-head.ts';

const PRIORITY_BYTES = 5;

export interface HeaderBlockLimits {
  readonly maxHeaderBlockBytes: number;
  readonly maxContinuations: number;
}

/** Room for incomplete blocks. */
export interface HeaderRoom {
  /** False: there is none, and nothing was taken. */
  tryTake(bytes: number): boolean;
  give(bytes: number): void;
}

/** A header block, from its HEADERS frame over all CONTINUATION frames to END_HEADERS (RFC 9113, section 4.3). */
export class HeaderBlock {
  readonly #limits: HeaderBlockLimits;
  readonly #room: HeaderRoom;
  readonly #decoder: Pick<HpackDecoder, 'decode'>;
  readonly #fragments: Buffer[] = [];
  #byteLength = 0;
  #id = 0;
  /** Number of blocks that had more than one frame. */
  #opened = 0;

  /** The last HEADERS frame ended the stream's request. */
  endsStream = false;
  /** The last HEADERS frame made the stream depend on itself (RFC 7540, section 5.3.1). */
  dependsOnItself = false;

  constructor(limits: HeaderBlockLimits, room: HeaderRoom, decoder: Pick<HpackDecoder, 'decode'>) {
    this.#limits = limits;
    this.#room = room;
    this.#decoder = decoder;
  }

  /** The stream whose block is not complete; no other frame may come before the rest of it (section 6.10). 0: there is none. */
  get openId(): number {
    return this.#id;
  }

  /** Number of the incomplete block. 0: there is none. */
  get unfinished(): number {
    return this.#id === 0 ? 0 : this.#opened;
  }

  /**
   * Takes the payload of HEADERS, which is `chunk[start, end)` (section 6.2).
   * @returns the fields of the block, if this was all of it
   */
  start(flags: number, id: number, chunk: Buffer, start: number, end: number): RequestHead | undefined {
    let from = start;
    let to = end;
    if (flags & Flag.PADDED) {
      if (from === end) throw frameSizeError('HEADERS without their pad length');
      to -= chunk[from++] ?? 0;
    }
    this.dependsOnItself = false;
    if (flags & Flag.PRIORITY) {
      if (end - from < PRIORITY_BYTES) throw frameSizeError('HEADERS without their priority');
      this.dependsOnItself = readUint31(chunk, from) === id;
      from += PRIORITY_BYTES;
    }
    if (from > to) throw protocolError('HEADERS with more padding than payload');
    this.endsStream = (flags & Flag.END_STREAM) !== 0;
    if (flags & Flag.END_HEADERS) return this.#decoder.decode(chunk, from, to);
    this.#id = id;
    this.#opened++;
    this.#keep(chunk.subarray(from, to));
    return undefined;
  }

  /** Takes the payload of CONTINUATION, as `start` does. */
  continue(flags: number, id: number, payload: Buffer): RequestHead | undefined {
    if (id === 0 || id !== this.#id) throw protocolError('CONTINUATION of nothing');
    this.#keep(payload);
    if ((flags & Flag.END_HEADERS) === 0) return undefined;
    const block = Buffer.concat(this.#fragments);
    this.close();
    this.#id = 0;
    return this.#decoder.decode(block, 0, block.length);
  }

  /** Frees the memory charged for a block. */
  close(): void {
    this.#room.give(this.#byteLength);
    this.#fragments.length = 0;
    this.#byteLength = 0;
  }

  /** A copy: the chunk that it lies in may be large. */
  #keep(fragment: Buffer): void {
    if (!this.#room.tryTake(fragment.length)) {
      throw new LimitError('maxIncomingBytes', 'there is no room for a header block that is not complete');
    }
    this.#byteLength += fragment.length;
    if (this.#byteLength > this.#limits.maxHeaderBlockBytes) {
      throw new LimitError('maxHeaderBlockBytes', 'a header block that is too large');
    }
    if (this.#fragments.length > this.#limits.maxContinuations) {
      throw new LimitError('maxContinuations', 'a header block in too many frames');
    }
    this.#fragments.push(Buffer.from(fragment));
  }
}
