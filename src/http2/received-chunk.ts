import { freeOwnBuffer } from './own-buffer.ts';

/** Smaller chunks cost less to collect than to free. */
const FREED_BYTES = 16 * 1024;

/** The chunk that a connection reads, and how many views of it are needed afterwards. */
export class ReceivedChunk {
  #chunk: Buffer | undefined;
  #views = 0;

  begin(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#views = 0;
  }

  /** A message is a view of it. */
  keep(): void {
    this.#views++;
  }

  /** A message is no longer needed, which may be a view of it. */
  drop(message: Uint8Array): void {
    if (message.buffer === this.#chunk?.buffer) this.#views--;
    else freeOwnBuffer(message);
  }

  /** It was read. Until they are collected, the chunks of an upload would be tens of megabytes. */
  end(): void {
    const chunk = this.#chunk;
    this.#chunk = undefined;
    if (chunk !== undefined && this.#views === 0 && chunk.length >= FREED_BYTES) freeOwnBuffer(chunk);
  }
}
