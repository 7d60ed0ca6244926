/** The memory of an instance into which the inputs of a batch are read, aligned. */

import { LandedInputs } from './landed-inputs.ts';
import type { Mailbox } from './mailbox.ts';
import type { InputPiece, TensorPlace } from './protocol.ts';

const LEAST_BYTES = 64 * 1024;

export class InputArena {
  readonly #landed = new LandedInputs();
  #memory = new ArrayBuffer(LEAST_BYTES);

  /** The inputs lie at their offsets, until the next read. */
  get memory(): ArrayBuffer {
    return this.#memory;
  }

  /** @param pieces where not all inputs lie in the mailbox */
  read(mailbox: Mailbox, inputs: readonly TensorPlace[], pieces?: readonly InputPiece[]): void {
    let end = 0;
    for (const { offset, byteLength } of inputs) end = Math.max(end, offset + byteLength);
    const { byteLength: size } = this.#memory;
    const isFarTooLarge = size > LEAST_BYTES && end < size / 16;
    if (end > size || isFarTooLarge) this.#memory = new ArrayBuffer(Math.max(LEAST_BYTES, end + end / 4));
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

  close(): void {
    this.#landed.close();
  }
}
