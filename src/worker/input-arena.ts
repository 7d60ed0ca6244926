/** The memory of an instance into which the inputs of a batch are read, all at once and aligned. */

import type { Mailbox } from './mailbox.ts';
import type { TensorPlace } from './protocol.ts';

const LEAST_BYTES = 64 * 1024;

export class InputArena {
  #memory = new ArrayBuffer(LEAST_BYTES);

  /** The inputs lie at their offsets, until the next read. */
  get memory(): ArrayBuffer {
    return this.#memory;
  }

  read(mailbox: Mailbox, inputs: readonly TensorPlace[]): void {
    let end = 0;
    for (const { offset, byteLength } of inputs) end = Math.max(end, offset + byteLength);
    const { byteLength: size } = this.#memory;
    const isFarTooLarge = size > LEAST_BYTES && end < size / 16;
    if (end > size || isFarTooLarge) this.#memory = new ArrayBuffer(Math.max(LEAST_BYTES, end + end / 4));
    mailbox.readSync(new Uint8Array(this.#memory, 0, end), 0);
  }
}
