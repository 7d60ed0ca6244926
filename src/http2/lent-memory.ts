import { freeOwnBuffer } from './own-buffer.ts';

/** Memory that a part of an answer lies in, and that its owner uses again. */
export interface LentMemory {
  /** The bytes are written, and may change now. Memory that is never given back is left to the collector. */
  giveBack(): void;
}

/** A buffer that is not used again: it is freed once it is written, instead of at the next collection. */
export class OnceUsed implements LentMemory {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  giveBack(): void {
    freeOwnBuffer(this.#bytes);
  }
}
