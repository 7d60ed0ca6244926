/**
 * Memory that the outputs of batches are read into, again and again.
 *
 * A buffer made for each batch would be collected only with V8's whole heap, three times a second at 602 KB a call. The kernel would
 * clear its pages each time.
 *
 * OUTPUT-1: memory is used again only once all requests of its batch have given it back. Where one does not, because its outputs
 *     are kept or its call has failed, the memory is left to the collector.
 * OUTPUT-2: memory that no batch has taken for a second is freed.
 */

import type { OutputMemory } from '../../worker/run-outcome.ts';

/** Smaller buffers cost less to make than to keep. */
const LEAST_BYTES = 16 * 1024;
/** Bytes that are kept for later batches. */
const MOST_SPARE_BYTES = 16 * 1024 * 1024;
/** A buffer that is larger by more is not taken: a client that reads slowly holds all of it. */
const MOST_EXCESS = 2;
const REVIEW_MS = 1_000;

export class OutputPool {
  /** The last one was used last: its pages are in the processor's cache. */
  readonly #spare: Buffer[] = [];
  #spareBytes = 0;
  /** Taken from since the last review. */
  #isUsed = false;
  #review: NodeJS.Timeout | undefined;

  /** Bytes that wait for later batches. */
  get spareBytes(): number {
    return this.#spareBytes;
  }

  take(byteLength: number): OutputBytes {
    this.#isUsed = true;
    const buffer = this.#takeSpare(byteLength) ?? Buffer.allocUnsafeSlow(roomFor(byteLength));
    return new OutputBytes(this, buffer, byteLength);
  }

  /** For its bytes. */
  putBack(buffer: Buffer): void {
    if (buffer.byteLength < LEAST_BYTES) return;
    if (this.#spareBytes + buffer.byteLength > MOST_SPARE_BYTES) {
      free(buffer);
      return;
    }
    this.#spare.push(buffer);
    this.#spareBytes += buffer.byteLength;
    this.#reviewLater();
  }

  #takeSpare(byteLength: number): Buffer | undefined {
    const most = MOST_EXCESS * Math.max(byteLength, LEAST_BYTES);
    const index = this.#spare.findLastIndex((spare) => spare.byteLength >= byteLength && spare.byteLength <= most);
    if (index === -1) return undefined;
    const [buffer] = this.#spare.splice(index, 1);
    this.#spareBytes -= buffer?.byteLength ?? 0;
    return buffer;
  }

  #reviewLater(): void {
    this.#review ??= setTimeout(() => {
      this.#review = undefined;
      if (!this.#isUsed) {
        for (const buffer of this.#spare.splice(0)) free(buffer);
        this.#spareBytes = 0;
      }
      this.#isUsed = false;
      if (this.#spare.length > 0) this.#reviewLater();
    }, REVIEW_MS).unref();
  }
}

/** The outputs of one batch. */
export class OutputBytes implements OutputMemory {
  readonly bytes: Uint8Array;
  readonly #pool: OutputPool;
  readonly #buffer: Buffer;
  #holders = 1;

  constructor(pool: OutputPool, buffer: Buffer, byteLength: number) {
    this.#pool = pool;
    this.#buffer = buffer;
    this.bytes = buffer.subarray(0, byteLength);
  }

  shareAmong(holders: number): void {
    this.#holders = holders;
  }

  giveBack(): void {
    this.#holders--;
    if (this.#holders === 0) this.#pool.putBack(this.#buffer);
  }
}

/** Now instead of at the next collection; views of it are empty afterwards. */
function free({ buffer }: Buffer): void {
  (buffer as ArrayBuffer).transfer(0);
}

/** Up to a quarter more, so that batches of about one size take each other's memory. */
function roomFor(byteLength: number): number {
  if (byteLength < LEAST_BYTES) return byteLength;
  const step = 2 ** (Math.floor(Math.log2(byteLength)) - 2);
  return Math.ceil(byteLength / step) * step;
}
