/**
 * Answers by request, bounded in bytes; the least recently used is evicted first.
 *
 * The whole request is kept and compared, so that no collision of hashes can give a wrong answer. An entry replaces another with
 * the same hash: a client that causes collisions on purpose costs others their hits, but no long searches.
 */

import { crc32 } from 'node:zlib';
import { bytesOf } from '../../../wire/tensor-bytes.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { OutputTensor } from '../queued-request.ts';

interface Entry {
  readonly asked: Asked;
  readonly outputs: readonly OutputTensor[];
  readonly bytes: number;
}

/** All of a request that its answer depends on. */
type Asked = Pick<InferTensors, 'rows' | 'inputs' | 'shapes'>;

/** About what an entry takes besides its tensors. */
const ENTRY_BYTES = 1_024;

export class ResponseStore {
  readonly #maxBytes: number;
  /** By hash, the least recently used first. */
  readonly #entries = new Map<number, Entry>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(hash: number, asked: Asked): readonly OutputTensor[] | undefined {
    const entry = this.#entries.get(hash);
    if (entry === undefined || !isSame(entry.asked, asked)) return undefined;
    this.#entries.delete(hash);
    this.#entries.set(hash, entry);
    return entry.outputs;
  }

  /** Keeps an answer, unless it is larger than the bound. */
  keep(hash: number, { rows, inputs, shapes }: Asked, outputs: readonly OutputTensor[]): void {
    const tensors = [...inputs, ...outputs.map(({ data }) => data)];
    const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, ENTRY_BYTES);
    if (bytes > this.#maxBytes) return;
    this.#drop(hash);
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes + bytes <= this.#maxBytes) break;
      this.#drop(oldest);
    }
    this.#entries.set(hash, {
      asked: { rows, inputs: inputs.map((bytes) => owned(bytesOf(bytes))), shapes },
      outputs: outputs.map((output) => ({ ...output, data: owned(output.data) })),
      bytes,
    });
    this.#bytes += bytes;
  }

  #drop(hash: number): void {
    this.#bytes -= this.#entries.get(hash)?.bytes ?? 0;
    this.#entries.delete(hash);
  }
}

/**
 * Not cryptographic, and need not be: what it finds is compared. Over a tensor of an image it takes a third of the time of
 * SHA-256.
 */
export function hashOf({ rows, bucket, inputs }: Pick<InferTensors, 'rows' | 'bucket' | 'inputs'>): number {
  let hash = crc32(`${rows};${bucket}`);
  for (const input of inputs) hash = crc32(bytesOf(input), hash);
  return hash;
}

export function isSame(one: Asked, other: Asked): boolean {
  return (
    one.rows === other.rows &&
    one.inputs.length === other.inputs.length &&
    one.shapes.every((shape, index) => {
      const theirs = other.shapes[index];
      return shape.length === theirs?.length && shape.every((size, axis) => size === theirs[axis]);
    }) &&
    one.inputs.every((bytes, index) => {
      const theirs = other.inputs[index];
      return bytes.byteLength === theirs?.byteLength && Buffer.compare(bytesOf(bytes), bytesOf(theirs)) === 0;
    })
  );
}

/**
 * Tensors are views: of a received message, or of the outputs of a whole batch. One that is kept would keep all of that, which
 * the bound does not count; so it is copied, unless it is all there is.
 */
function owned(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
