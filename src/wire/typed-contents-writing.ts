/** The other direction of `typed-contents.ts`: a raw tensor as `InferTensorContents`. */

import { BYTES_LENGTH_SIZE, BytesTensorError, bytesElementEnd } from './bytes-tensor.ts';
import { ProtobufWriter } from './protobuf-writer.ts';
import { DATATYPE_BYTES } from './tensor.ts';
import { BYTES_CONTENTS, FIELD_OF, type TypedDatatype, type VarintDatatype } from './typed-contents.ts';

/** A writer that grew on and on would hold three times what it has written while it grows. */
const CHUNK_BYTES = 1024 * 1024;

/** Writes a raw tensor as typed contents, a number of elements at a time. FP32 and FP64 stay a view. */
export class TypedContentsWriting {
  readonly #raw: Uint8Array;
  readonly #datatype: TypedDatatype;
  readonly #expected: number;
  readonly #chunks: Uint8Array[] = [];
  #writer = new ProtobufWriter();
  #at = 0;
  #elements = 0;

  /** @throws RangeError where `raw` is not a tensor of so many elements */
  constructor(raw: Uint8Array, datatype: TypedDatatype, elements: number) {
    const size = DATATYPE_BYTES[datatype];
    if (size !== undefined && raw.length !== elements * size) {
      throw new RangeError(`${raw.length} bytes are not ${elements} elements of ${datatype}`);
    }
    this.#raw = raw;
    this.#datatype = datatype;
    this.#expected = elements;
  }

  /** @returns whether all elements were written. @throws BytesTensorError */
  advance(elements = Number.POSITIVE_INFINITY): boolean {
    if (this.#datatype === 'BYTES') this.#writeTexts(elements);
    else if (this.#datatype === 'FP32' || this.#datatype === 'FP64') this.#at = this.#raw.length;
    else this.#writeVarints(this.#datatype, elements);
    return this.#at === this.#raw.length;
  }

  /** The encoded contents, in chunks, once all elements were written. @throws BytesTensorError */
  finish(): Uint8Array[] {
    if (this.#datatype === 'BYTES' && this.#elements !== this.#expected) {
      throw new BytesTensorError('count', `${this.#elements} elements, expected ${this.#expected}`);
    }
    if (this.#raw.length === 0) return [];
    this.#flush();
    if (this.#datatype === 'BYTES') return this.#chunks;
    const field = new ProtobufWriter();
    const start = field.begin(FIELD_OF[this.#datatype]);
    if (this.#datatype === 'FP32' || this.#datatype === 'FP64') field.append(this.#raw);
    else for (const chunk of this.#chunks) field.append(chunk);
    field.end(start);
    return field.finish();
  }

  #flush(): void {
    this.#chunks.push(...this.#writer.finish());
    this.#writer = new ProtobufWriter();
  }

  #writeTexts(most: number): void {
    const raw = this.#raw;
    for (let left = most; left > 0 && this.#at < raw.length; left -= 1) {
      const end = bytesElementEnd(raw, this.#at);
      this.#writer.copiedBytes(BYTES_CONTENTS, raw, this.#at + BYTES_LENGTH_SIZE, end);
      this.#at = end;
      this.#elements += 1;
      if (this.#writer.length > CHUNK_BYTES) this.#flush();
    }
  }

  #writeVarints(datatype: VarintDatatype, most: number): void {
    const raw = this.#raw;
    const size = DATATYPE_BYTES[datatype];
    const isSigned = datatype.startsWith('INT');
    const end = Math.min(raw.length, this.#at + most * size);
    for (let at = this.#at; at < end; at += size) {
      let low = 0;
      let high = 0;
      for (let i = 0; i < size; i += 1) {
        const byte = raw[at + i] as number;
        if (i < 4) low |= byte << (8 * i);
        else high |= byte << (8 * i);
      }
      if (datatype === 'BOOL') low = low === 0 ? 0 : 1;
      else if (isSigned && size <= 4) {
        const unused = 32 - 8 * size;
        low = (low << unused) >> unused;
        high = low >> 31;
      }
      this.#writer.element(low, high);
      if (this.#writer.length > CHUNK_BYTES) this.#flush();
    }
    this.#at = end;
  }
}

/**
 * The typed form of a raw tensor, at once: the encoded `InferTensorContents`, in chunks.
 * @throws RangeError or BytesTensorError where `raw` is not a tensor of so many elements
 */
export function rawToTyped(raw: Uint8Array, datatype: TypedDatatype, elements: number): Uint8Array[] {
  const writing = new TypedContentsWriting(raw, datatype, elements);
  writing.advance();
  return writing.finish();
}
