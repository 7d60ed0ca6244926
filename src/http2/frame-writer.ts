/**
 * The bytes that a connection is about to write. Frame headers, header blocks and small payloads are copied into a slab; large
 * payloads stay the views that they are. All that one turn of the event loop made leaves in one write.
 */

import type { Duplex } from 'node:stream';
import type { ErrorCode } from './error-code.ts';
import { Flag, FRAME_HEADER_BYTES, FrameType } from './frame.ts';
import type { LentMemory } from './lent-memory.ts';

const SLAB_BYTES = 32 * 1024;
/** A view costs an entry of a vectored write, which is more than to copy so much. */
const COPY_BYTES = 512;
const LOOP_BYTES = 16;

export class FrameWriter {
  readonly #socket: Duplex;
  readonly #pieces: Uint8Array[] = [];
  /** Memory of pieces that the kernel may not have taken yet. */
  readonly #lent: LentMemory[] = [];
  #piecesBytes = 0;
  #slab = Buffer.alloc(0);
  /** Start of the slab's part that is not among the pieces yet; it ends at `#at`. */
  #from = 0;
  #at = 0;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** Bytes that wait for `flush`. */
  get size(): number {
    return this.#piecesBytes + this.#at - this.#from;
  }

  /** Bytes that were flushed, and that the socket has not taken. */
  get unwritten(): number {
    return this.#socket.writableLength;
  }

  /** Begins a frame (RFC 9113, section 4.1). `length` bytes of payload are to follow. */
  header(length: number, type: number, flags: number, id: number): void {
    this.#reserve(FRAME_HEADER_BYTES);
    const slab = this.#slab;
    const at = this.#at;
    slab[at] = length >>> 16;
    slab[at + 1] = length >>> 8;
    slab[at + 2] = length;
    slab[at + 3] = type;
    slab[at + 4] = flags;
    this.#at = at + 5;
    this.uint32(id);
  }

  uint32(value: number): void {
    this.#reserve(4);
    const slab = this.#slab;
    const at = this.#at;
    slab[at] = value >>> 24;
    slab[at + 1] = value >>> 16;
    slab[at + 2] = value >>> 8;
    slab[at + 3] = value;
    this.#at = at + 4;
  }

  uint8(value: number): void {
    this.#reserve(1);
    this.#slab[this.#at++] = value;
  }

  /** Bytes that may change afterwards. */
  copy(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#reserve(length);
    const slab = this.#slab;
    // For a few bytes a call of `set` costs more than they do.
    if (length > LOOP_BYTES) slab.set(bytes, this.#at);
    else for (let index = 0; index < length; index++) slab[this.#at + index] = bytes[index] ?? 0;
    this.#at += length;
  }

  /** Bytes that do not change until they are written. */
  append(bytes: Uint8Array): void {
    if (bytes.length <= COPY_BYTES) {
      this.copy(bytes);
      return;
    }
    this.#cut();
    this.#pieces.push(bytes);
    this.#piecesBytes += bytes.length;
  }

  /** The bytes of `memory` are all appended: it is given back once they are written. */
  lend(memory: LentMemory): void {
    this.#lent.push(memory);
  }

  windowUpdate(id: number, increment: number): void {
    this.header(4, FrameType.WINDOW_UPDATE, 0, id);
    this.uint32(increment);
  }

  resetStream(id: number, code: ErrorCode): void {
    this.header(4, FrameType.RST_STREAM, 0, id);
    this.uint32(code);
  }

  /** @param opaque eight bytes */
  ping(flags: number, opaque: Uint8Array): void {
    this.header(8, FrameType.PING, flags, 0);
    this.copy(opaque);
  }

  settings(payload: Uint8Array): void {
    this.header(payload.length, FrameType.SETTINGS, 0, 0);
    this.copy(payload);
  }

  settingsAck(): void {
    this.header(0, FrameType.SETTINGS, Flag.ACK, 0);
  }

  goAway(lastId: number, code: ErrorCode, text: string): void {
    const debugData = Buffer.from(text, 'latin1');
    this.header(8 + debugData.length, FrameType.GOAWAY, 0, 0);
    this.uint32(lastId);
    this.uint32(code);
    this.copy(debugData);
  }

  /** A header block, cut into frames that the peer takes (RFC 9113, section 4.3 and 6.10). */
  headerBlock(id: number, block: Uint8Array, flags: number, maxFrameBytes: number): void {
    if (block.length <= maxFrameBytes) {
      this.header(block.length, FrameType.HEADERS, flags | Flag.END_HEADERS, id);
      this.copy(block);
      return;
    }
    for (let from = 0; from === 0 || from < block.length; from += maxFrameBytes) {
      const part = block.subarray(from, from + maxFrameBytes);
      const end = from + part.length === block.length ? Flag.END_HEADERS : 0;
      if (from === 0) this.header(part.length, FrameType.HEADERS, flags | end, id);
      else this.header(part.length, FrameType.CONTINUATION, end, id);
      this.copy(part);
    }
  }

  /**
   * Writes everything.
   * @returns false: the socket is full; it emits `drain` when it is not
   */
  flush(): boolean {
    this.#cut();
    const socket = this.#socket;
    const pieces = this.#pieces;
    if (pieces.length === 1) {
      socket.write(pieces[0]);
    } else if (pieces.length > 1) {
      socket.cork();
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
    }
    pieces.length = 0;
    this.#piecesBytes = 0;
    if (socket.writableLength === 0) {
      // The kernel has taken everything, so the slab is free again; otherwise it is used on from here.
      this.#from = 0;
      this.#at = 0;
    }
    // The result of `write` is not enough: with TLS no `drain` follows a false that came while it could write at once.
    return !socket.writableNeedDrain;
  }

  /** Gives lent memory back, unless the socket may still read it. Only where nothing waits for `flush`. */
  giveBack(): void {
    if (this.#lent.length === 0 || this.unwritten > 0) return;
    for (const memory of this.#lent) memory.giveBack();
    this.#lent.length = 0;
  }

  /** Frees the slab of a connection that is silent. Only where nothing waits. */
  release(): void {
    if (this.size > 0 || this.unwritten > 0) return;
    this.giveBack();
    this.#slab = Buffer.alloc(0);
    this.#from = 0;
    this.#at = 0;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#slab.length) return;
    this.#cut();
    this.#slab = Buffer.allocUnsafeSlow(Math.max(bytes, SLAB_BYTES));
    this.#from = 0;
    this.#at = 0;
  }

  #cut(): void {
    if (this.#at === this.#from) return;
    const piece = this.#slab.subarray(this.#from, this.#at);
    this.#pieces.push(piece);
    this.#piecesBytes += piece.length;
    this.#from = this.#at;
  }
}
