/**
 * The raw form of a BYTES tensor: for each element, in row-major order, a 4-byte unsigned little-endian length and that
 * many bytes.
 */

/** The length word before each element. */
export const BYTES_LENGTH_SIZE = 4;

/** Bytes that are not the raw form of a BYTES tensor of so many elements. The text fits after "input 'x': ". */
export class BytesTensorError extends Error {
  /** The length word, or the element, reaches past the end; or there are not as many elements as expected. */
  readonly kind: 'cut_length' | 'past_end' | 'count';

  constructor(kind: 'cut_length' | 'past_end' | 'count', message: string) {
    super(message);
    this.name = 'BytesTensorError';
    this.kind = kind;
  }
}

/**
 * Where the element whose length word is at `offset` ends, which is where the next one begins. Its bytes start at
 * `offset + BYTES_LENGTH_SIZE`. The walk over a tensor: `for (at = 0; at < raw.length; at = bytesElementEnd(raw, at))`.
 * @throws BytesTensorError
 */
export function bytesElementEnd(raw: Uint8Array, offset: number): number {
  const start = offset + BYTES_LENGTH_SIZE;
  if (start > raw.length) {
    throw new BytesTensorError('cut_length', `the length of an element is cut off, at byte ${offset} of ${raw.length}`);
  }
  const length = readUint32(raw, offset);
  const end = start + length;
  if (end > raw.length) {
    const left = raw.length - start;
    throw new BytesTensorError('past_end', `an element of ${length} bytes at byte ${offset}, ${left} bytes are left`);
  }
  return end;
}

/**
 * Checks that `raw` holds exactly `elements` elements.
 * @throws BytesTensorError
 */
export function checkBytesTensor(raw: Uint8Array, elements: number): void {
  let count = 0;
  for (let at = 0; at < raw.length; at = bytesElementEnd(raw, at)) count += 1;
  if (count !== elements) throw new BytesTensorError('count', `${count} elements, expected ${elements}`);
}

/**
 * The byte offset at which each row ends, for cutting a batch apart. `rows` is a batch size, so it has a bound already.
 * @throws BytesTensorError also where `raw` does not hold exactly `rows * elementsPerRow` elements
 */
export function bytesRowEnds(raw: Uint8Array, elementsPerRow: number, rows: number): number[] {
  const ends: number[] = [];
  let at = 0;
  let count = 0;
  for (let row = 0; row < rows; row += 1) {
    for (let element = 0; element < elementsPerRow && at < raw.length; element += 1) {
      at = bytesElementEnd(raw, at);
      count += 1;
    }
    ends.push(at);
  }
  if (count !== elementsPerRow * rows || at !== raw.length) checkBytesTensor(raw, elementsPerRow * rows);
  return ends;
}

/** Writes texts, one after another, as the raw form of a BYTES tensor. */
export class BytesTensorWriter {
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;

  text(text: string): void {
    // As long as UTF-8 can get.
    const needed = this.#length + BYTES_LENGTH_SIZE + 3 * text.length;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    const start = this.#length + BYTES_LENGTH_SIZE;
    const length = this.#bytes.write(text, start, 'utf8');
    writeUint32(this.#bytes, this.#length, length);
    this.#length = start + length;
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

export function encodeBytesTensor(elements: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const element of elements) size += BYTES_LENGTH_SIZE + element.length;
  const raw = new Uint8Array(size);
  let at = 0;
  for (const element of elements) {
    at = writeUint32(raw, at, element.length);
    raw.set(element, at);
    at += element.length;
  }
  return raw;
}

/**
 * The elements of a BYTES tensor, as views of `raw`.
 * @throws BytesTensorError
 */
export function decodeBytesTensor(raw: Uint8Array, elements: number): Uint8Array[] {
  checkBytesTensor(raw, elements);
  const views: Uint8Array[] = [];
  let at = 0;
  while (at < raw.length) {
    const end = bytesElementEnd(raw, at);
    views.push(raw.subarray(at + BYTES_LENGTH_SIZE, end));
    at = end;
  }
  return views;
}

/** Writes `value` as 4 little-endian bytes and returns where they end. */
export function writeUint32(target: Uint8Array, offset: number, value: number): number {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
  target[offset + 2] = value >>> 16;
  target[offset + 3] = value >>> 24;
  return offset + 4;
}

/** The 4 little-endian bytes at `offset`, which are there, as an unsigned number. */
function readUint32(bytes: Uint8Array, offset: number): number {
  const low = (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8);
  return (low | ((bytes[offset + 2] as number) << 16) | ((bytes[offset + 3] as number) << 24)) >>> 0;
}
