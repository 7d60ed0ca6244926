import type { FrameWriter } from './frame-writer.ts';

/** Pieces that were sent and are dropped at a time, at least. */
const COMPACT_AFTER = 64;

/** So many small pieces in a row are joined: each would hold several times its bytes as an object of its own. */
const JOINED_PIECES = 64;
const SMALL_BYTES = 512;

/** Bytes of a stream that flow control, or the socket, holds back. They stay the views that they came as, unless they are small and many. */
export class SendQueue {
  readonly #pieces: Uint8Array[] = [];
  /** The first piece that is not sent whole, and how much of it is. */
  #first = 0;
  #sentOfFirst = 0;
  #byteLength = 0;
  /** How many of the last pieces are small, and not joined. */
  #smallAtEnd = 0;

  get byteLength(): number {
    return this.#byteLength;
  }

  push(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#byteLength += piece.length;
    this.#smallAtEnd = piece.length > SMALL_BYTES ? 0 : this.#smallAtEnd + 1;
    if (this.#smallAtEnd === JOINED_PIECES) this.#joinSmall();
  }

  /** Moves the next `bytes` bytes, of those that there are, to `writer`. */
  moveTo(writer: FrameWriter, bytes: number): void {
    this.#byteLength -= bytes;
    for (let left = bytes; left > 0; ) {
      const piece = this.#pieces[this.#first] ?? EMPTY;
      const from = this.#sentOfFirst;
      const to = Math.min(piece.length, from + left);
      writer.append(from === 0 && to === piece.length ? piece : piece.subarray(from, to));
      left -= to - from;
      this.#sentOfFirst = to;
      if (to === piece.length) this.#next();
    }
  }

  /** The sent part of the first piece stays sent: if these pieces contain it, all of them start with it. */
  #joinSmall(): void {
    this.#smallAtEnd = 0;
    const small = this.#pieces.splice(Math.max(this.#first, this.#pieces.length - JOINED_PIECES));
    const joined = Buffer.allocUnsafeSlow(small.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of small) {
      joined.set(piece, at);
      at += piece.length;
    }
    this.#pieces.push(joined);
  }

  #next(): void {
    this.#pieces[this.#first] = EMPTY;
    this.#first++;
    this.#sentOfFirst = 0;
    if (this.#first === this.#pieces.length) this.#pieces.length = 0;
    // A queue that is never empty must not grow for ever. Amortized: at least as many pieces were sent as are moved here.
    else if (this.#first >= COMPACT_AFTER && this.#first * 2 >= this.#pieces.length)
      this.#pieces.splice(0, this.#first);
    else return;
    this.#first = 0;
  }
}

const EMPTY = new Uint8Array(0);
