/** The memory of an instance into which the inputs of a batch are read, aligned. */

import { LandedInputs } from './landed-inputs.ts';
import type { Mailbox } from './mailbox.ts';
import type { InputPiece, TensorPlace } from './protocol.ts';

const LEAST_BYTES = 64 * 1024;
/** Memory shrinks at once for a batch of a sixteenth of it, and where none of 64 batches needs half of it. */
const FAR_TOO_LARGE = 16;
const TOO_LARGE = 2;
const REVIEWED_READS = 64;

export class InputArena {
  readonly #landed = new LandedInputs();
  #memory = new ArrayBuffer(LEAST_BYTES);
  /** Batches since the last review, and the bytes of the largest one. */
  #reads = 0;
  #most = 0;

  /** The inputs lie at their offsets, until the next read. */
  get memory(): ArrayBuffer {
    return this.#memory;
  }

  /** @param pieces where not all inputs lie in the mailbox */
  read(mailbox: Mailbox, inputs: readonly TensorPlace[], pieces?: readonly InputPiece[]): void {
    let end = 0;
    for (const { offset, byteLength } of inputs) end = Math.max(end, offset + byteLength);
    this.#fit(end);
    if (pieces === undefined) {
      mailbox.readSync(new Uint8Array(this.#memory, 0, end), 0);
      return;
    }
    for (const { file, from, at, byteLength } of pieces) {
      const target = new Uint8Array(this.#memory, at, byteLength);
      if (file === undefined) mailbox.readSync(target, from);
      else this.#landed.readSync(file, from, target);
    }
  }

  /** Room for so many bytes, and not much more than the next batches need. */
  #fit(bytes: number): void {
    const { byteLength: size } = this.#memory;
    this.#most = Math.max(this.#most, bytes);
    this.#reads++;
    const isReview = this.#reads === REVIEWED_READS;
    const needed = isReview ? this.#most : bytes;
    const isTooLarge = size > LEAST_BYTES && needed < size / (isReview ? TOO_LARGE : FAR_TOO_LARGE);
    if (bytes > size || isTooLarge) {
      // Now, not when it is collected: no run reads it.
      this.#memory.transfer(0);
      this.#memory = new ArrayBuffer(Math.max(LEAST_BYTES, Math.ceil(needed + needed / 4)));
    }
    if (!isReview) return;
    this.#reads = 0;
    this.#most = 0;
  }

  close(): void {
    this.#landed.close();
  }
}
