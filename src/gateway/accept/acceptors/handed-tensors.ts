/**
 * The tensors in files of this acceptor that the owner has. The owner sees where they lie, and runners read them there.
 *
 * HAND-1: the room of a tensor is free again once the owner has released it, and not before.
 */

import { IdTable } from '../../../http2/id-table.ts';
import { isLanded, type LandedBytes, type TensorBytes } from '../../../wire/tensor-bytes.ts';
import type { ParcelWriter } from './parcel.ts';
import { writeBytes, writeHanded, writeTensorCount } from './tensor-record.ts';

export class HandedTensors {
  readonly #handed = new IdTable<LandedBytes>();
  #lastNumber = 0;

  /** Hands the tensors of a message over: the owner is their holder from now on. */
  write(to: ParcelWriter, tensors: readonly TensorBytes[]): void {
    writeTensorCount(to, tensors.length);
    for (const tensor of tensors) {
      if (isLanded(tensor)) this.#writeLanded(to, tensor);
      else writeBytes(to, tensor);
    }
  }

  released(number: number): void {
    const tensor = this.#handed.get(number);
    this.#handed.delete(number);
    tensor?.giveBack();
    tensor?.release();
  }

  #writeLanded(to: ParcelWriter, tensor: LandedBytes): void {
    const place = tensor.lend();
    if (place === undefined) {
      writeBytes(to, tensor.read());
      return;
    }
    this.#lastNumber = (this.#lastNumber + 1) >>> 0;
    this.#handed.set(this.#lastNumber, tensor);
    writeHanded(to, { number: this.#lastNumber, place, byteLength: tensor.byteLength });
  }
}
