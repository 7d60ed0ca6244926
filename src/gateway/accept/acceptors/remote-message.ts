import type { LentMemory } from '../../../http2/lent-memory.ts';
import { releaseAll, type TensorBytes } from '../../../wire/tensor-bytes.ts';
import type { AcceptorFiles, HandedTensor } from '../../landing/borrowed-tensors.ts';
import type { ParcelReader, ReceivedMessage } from './parcel.ts';
import { readTensors } from './tensor-record.ts';

/** A message of a call whose transport runs in an acceptor, and the tensors beside it. */
export class RemoteMessage {
  readonly bytes: Uint8Array;
  /** As `UnaryCall.tensors`. */
  readonly tensors: readonly TensorBytes[] | undefined;
  readonly #memory: LentMemory;
  readonly #memoryOfTensors: readonly LentMemory[];

  private constructor(
    { bytes, memory }: ReceivedMessage,
    tensors: readonly TensorBytes[] | undefined,
    memoryOfTensors: readonly LentMemory[],
  ) {
    this.bytes = bytes;
    this.tensors = tensors;
    this.#memory = memory;
    this.#memoryOfTensors = memoryOfTensors;
  }

  /** @throws Error where a file of the acceptor cannot be opened; no tensor of such a message is held, and its memory is left to the collector */
  static read(from: ParcelReader, files: AcceptorFiles): RemoteMessage {
    const message = from.message();
    const parts = readTensors(from);
    if (parts.length === 0) return new RemoteMessage(message, undefined, NOTHING);
    const memoryOfTensors = parts.flatMap((part) => (isHanded(part) ? [] : part.memory));
    return new RemoteMessage(message, tensorsOf(parts, files), memoryOfTensors);
  }

  /** Frees its memory: no view of that is left. */
  free(): void {
    this.#memory.giveBack();
    for (const memory of this.#memoryOfTensors) memory.giveBack();
  }

  /** Nothing takes the message: frees all of it. */
  drop(): void {
    releaseAll(this.tensors ?? []);
    this.free();
  }
}

const NOTHING: readonly LentMemory[] = [];

function tensorsOf(parts: readonly (HandedTensor | ReceivedMessage)[], files: AcceptorFiles): TensorBytes[] {
  const tensors: TensorBytes[] = [];
  try {
    for (const part of parts) tensors.push(isHanded(part) ? files.borrow(part) : part.bytes);
    return tensors;
  } catch (error) {
    releaseAll(tensors);
    for (const part of parts.slice(tensors.length)) if (isHanded(part)) files.reject(part);
    throw error;
  }
}

function isHanded(part: HandedTensor | ReceivedMessage): part is HandedTensor {
  return 'place' in part;
}
