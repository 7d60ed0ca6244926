import { readFileSync } from 'node:fs';

const PIXEL_BYTES = 3 * 32 * 32;
const RECORD_BYTES = 1 + PIXEL_BYTES;

/** The classes, in the order of the labels and of the model's output. */
export const CLASSES = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
] as const;

/** Images with their labels, in CIFAR-10's binary layout: a label byte, then a plane each of red, green and blue. */
export class Records {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    if (bytes.length === 0 || bytes.length % RECORD_BYTES !== 0) {
      throw new Error(`${bytes.length} bytes are no whole number of records of ${RECORD_BYTES} bytes`);
    }
    this.#bytes = bytes;
  }

  static read(path: string): Records {
    return new Records(readFileSync(path));
  }

  get count(): number {
    return this.#bytes.length / RECORD_BYTES;
  }

  label(index: number): number {
    return this.#bytes[index * RECORD_BYTES] ?? Number.NaN;
  }

  /** The pixels of the records at `indices`, as the contents of UINT8 [indices.length,3,32,32]. */
  pixels(indices: readonly number[]): Uint8Array {
    const pixels = new Uint8Array(indices.length * PIXEL_BYTES);
    for (const [row, index] of indices.entries()) {
      const start = index * RECORD_BYTES + 1;
      pixels.set(this.#bytes.subarray(start, start + PIXEL_BYTES), row * PIXEL_BYTES);
    }
    return pixels;
  }
}

/** `indices` in groups of at most `size`. */
export function batches(indices: readonly number[], size: number): number[][] {
  const groups: number[][] = [];
  for (let start = 0; start < indices.length; start += size) groups.push(indices.slice(start, start + size));
  return groups;
}
