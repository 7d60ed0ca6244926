/**
 * `InferTensorContents`, the form in which hand-written clients send tensors: one repeated field per kind of element. Decoding a
 * request leaves it encoded. It is read once the model has given the expected count and datatype.
 *
 * Both directions work in pieces (`advance`), because millions of elements take longer than anything may hold the event loop.
 */

import { BYTES_LENGTH_SIZE, writeUint32 } from './bytes-tensor.ts';
import { ProtobufReader } from './protobuf-reader.ts';
import { DATATYPE_BYTES, type Datatype } from './tensor.ts';
import { WireType } from './wire-type.ts';

const BOOL_CONTENTS = 1;
const INT_CONTENTS = 2;
const INT64_CONTENTS = 3;
const UINT_CONTENTS = 4;
const UINT64_CONTENTS = 5;
const FP32_CONTENTS = 6;
const FP64_CONTENTS = 7;
export const BYTES_CONTENTS = 8;

/** The datatype that each field is named by, at the field's number less one. */
const FIELD_DATATYPES: readonly Datatype[] = ['BOOL', 'INT32', 'INT64', 'UINT32', 'UINT64', 'FP32', 'FP64', 'BYTES'];

/** The number of the field in which a datatype travels. Integers of 8 and 16 bits travel widened. */
export const FIELD_OF = {
  BOOL: BOOL_CONTENTS,
  INT8: INT_CONTENTS,
  INT16: INT_CONTENTS,
  INT32: INT_CONTENTS,
  INT64: INT64_CONTENTS,
  UINT8: UINT_CONTENTS,
  UINT16: UINT_CONTENTS,
  UINT32: UINT_CONTENTS,
  UINT64: UINT64_CONTENTS,
  FP32: FP32_CONTENTS,
  FP64: FP64_CONTENTS,
  BYTES: BYTES_CONTENTS,
} as const satisfies Partial<Record<Datatype, number>>;

/** A datatype that can travel typed: every one but FP16 and BF16. */
export type TypedDatatype = keyof typeof FIELD_OF;

/** A datatype whose elements are varints when they travel typed. */
export type VarintDatatype = Exclude<TypedDatatype, 'FP32' | 'FP64' | 'BYTES'>;

/** The values that fit, of datatypes that are narrower than the 32 bits in which they travel. */
const RANGES: Partial<Record<VarintDatatype, { readonly min: number; readonly max: number }>> = {
  INT8: { min: -0x80, max: 0x7f },
  INT16: { min: -0x8000, max: 0x7fff },
  UINT8: { min: 0, max: 0xff },
  UINT16: { min: 0, max: 0xffff },
};

/** A problem of typed contents: `datatype` names the field that the tensor's own datatype does not travel in. */
export type TypedContentsProblem =
  | { readonly kind: 'wrong_field'; readonly datatype: Datatype }
  | { readonly kind: 'count'; readonly got: number; readonly expected: number }
  | { readonly kind: 'range'; readonly value: number; readonly index: number };

/** Typed contents that are not a tensor of the datatype and the number of elements asked for. */
export class TypedContentsError extends Error {
  readonly problem: TypedContentsProblem;

  constructor(problem: TypedContentsProblem, message: string) {
    super(message);
    this.name = 'TypedContentsError';
    this.problem = problem;
  }
}

export function isTypedDatatype(datatype: Datatype): datatype is TypedDatatype {
  return Object.hasOwn(FIELD_OF, datatype);
}

/** The least that an element takes in typed contents: a varint of one byte; the tag and the length of an empty text. */
const LEAST_VARINT = 1;
const LEAST_BYTES = 2;

/** The most elements that typed contents of so many bytes can hold. */
export function mostElements(bytes: number, datatype: Datatype): number {
  if (datatype === 'FP32') return Math.floor(bytes / 4);
  if (datatype === 'FP64') return Math.floor(bytes / 8);
  return Math.floor(bytes / (datatype === 'BYTES' ? LEAST_BYTES : LEAST_VARINT));
}

/** Reads typed contents into the raw form, a number of elements at a time. */
export class TypedContentsReading {
  readonly #contents: Uint8Array;
  readonly #datatype: Datatype;
  readonly #field: number | undefined;
  readonly #expected: number;
  readonly #reader: ProtobufReader;
  /** The fields that hold elements, as bits. */
  #present = 0;
  /** Elements of the tensor's own field that were read. */
  #elements = 0;
  /** Where the message ends while a run of varints is being read, which then is what the reader ends at. */
  #outerEnd: number | undefined;
  /** Raw form of `#elements`; `undefined` if the count cannot match, so that elements are only counted. */
  #raw: Uint8Array | undefined;
  #length = 0;
  #outOfRange: { readonly value: number; readonly index: number } | undefined;

  /** @param elements what the shape says. */
  constructor(contents: Uint8Array, datatype: Datatype, elements: number) {
    this.#contents = contents;
    this.#datatype = datatype;
    this.#field = isTypedDatatype(datatype) ? FIELD_OF[datatype] : undefined;
    this.#expected = elements;
    this.#reader = new ProtobufReader(contents);
  }

  get elements(): number {
    return this.#elements;
  }

  /**
   * Reads on, about so many elements.
   * @returns whether all were read.
   * @throws WireError where the contents are malformed
   */
  advance(elements = Number.POSITIVE_INFINITY): boolean {
    const reader = this.#reader;
    let left = elements;
    while (left > 0) {
      if (this.#outerEnd !== undefined) {
        left -= this.#readRun(left);
        if (reader.left > 0) return false;
        reader.leave(this.#outerEnd);
        this.#outerEnd = undefined;
      }
      const field = reader.next();
      if (field === 0) return true;
      left -= 1;
      if (field !== this.#field) this.#pass(field);
      else if (field === FP32_CONTENTS) this.#readFixed(4);
      else if (field === FP64_CONTENTS) this.#readFixed(8);
      else if (field === BYTES_CONTENTS) this.#readText();
      else this.#outerEnd = reader.enterVarints('a field of typed contents');
    }
    return false;
  }

  /**
   * The raw form, once all was read: a view where the contents are one packed run of FP32 or FP64, which is little-endian on the
   * wire too; otherwise an array of its own. BOOL becomes 0 or 1.
   * @throws TypedContentsError
   */
  finish(): Uint8Array {
    const wrong = FIELD_DATATYPES.find((_, i) => (this.#present & (2 << i)) !== 0);
    if (wrong !== undefined) {
      throw new TypedContentsError(
        { kind: 'wrong_field', datatype: wrong },
        `typed contents of datatype ${wrong} for a tensor of datatype ${this.#datatype}`,
      );
    }
    const got = this.#elements;
    const expected = this.#expected;
    if (got !== expected) {
      throw new TypedContentsError({ kind: 'count', got, expected }, `${got} elements, expected ${expected}`);
    }
    if (this.#outOfRange !== undefined) {
      const { value, index } = this.#outOfRange;
      const text = `element ${index} is ${value}, which is no ${this.#datatype}`;
      throw new TypedContentsError({ kind: 'range', value, index }, text);
    }
    const raw = this.#raw ?? NOTHING;
    return raw.length === this.#length ? raw : raw.subarray(0, this.#length);
  }

  /** A field that the datatype does not travel in: refused in the end, unless it holds no elements. */
  #pass(field: number): void {
    const before = this.#reader.position;
    const isPacked = this.#reader.skip() === WireType.LENGTH_DELIMITED;
    if (field > BYTES_CONTENTS) return;
    // A packed field without elements is its length of 0, one byte; an empty text is an element.
    const isEmpty = isPacked && field !== BYTES_CONTENTS && this.#reader.position === before + 1;
    if (!isEmpty) this.#present |= 1 << field;
  }

  #readFixed(size: 4 | 8): void {
    const reader = this.#reader;
    const length = reader.skipFixed('typed contents', size);
    const start = reader.position - length;
    const total = this.#expected * size;
    const isFirst = this.#elements === 0;
    this.#elements += length / size;
    if (this.#elements > this.#expected || length === 0) return;
    if (isFirst && length === total) this.#raw = reader.view(start, reader.position);
    else reader.copy(start, length, this.#room(total), this.#length);
    this.#length += length;
  }

  #readText(): void {
    const reader = this.#reader;
    const length = reader.skipBytes('bytes_contents');
    this.#elements += 1;
    if (this.#elements > this.#expected) return;
    // Each element has a tag and a length of at least a byte each; a length of four bytes replaces them.
    const raw = this.#room(this.#contents.length + this.#expected * (BYTES_LENGTH_SIZE - LEAST_BYTES));
    if (raw === NOTHING) return;
    const at = writeUint32(raw, this.#length, length);
    reader.copy(reader.position - length, length, raw, at);
    this.#length = at + length;
  }

  /** @returns how many elements of the run were read. */
  #readRun(most: number): number {
    const reader = this.#reader;
    const datatype = this.#datatype as VarintDatatype;
    const size = DATATYPE_BYTES[datatype];
    const range = RANGES[datatype];
    const start = this.#elements;
    const end = start + most;
    const raw = this.#expected > 0 ? this.#room(this.#expected * size) : NOTHING;
    const fitting = raw === NOTHING ? start : Math.min(end, this.#expected);
    let index = start;
    for (; index < fitting && reader.left > 0; index += 1) {
      reader.readVarint();
      const { low, high } = reader;
      if (range !== undefined) {
        const value = range.min < 0 ? low | 0 : low;
        if (value < range.min || value > range.max) this.#outOfRange ??= { value, index };
      }
      // As in protobuf, an `int32` or `uint32` is the low half of its varint, and a `bool` is whether any bit is set.
      if (datatype === 'BOOL') raw[index] = low === 0 && high === 0 ? 0 : 1;
      else if (size === 1) raw[index] = low;
      else if (size === 2) writeUint16(raw, index * 2, low);
      else {
        writeUint32(raw, index * size, low);
        if (size === 8) writeUint32(raw, index * size + 4, high);
      }
    }
    this.#length = index * size;
    for (; index < end && reader.left > 0; index += 1) reader.readVarint();
    this.#elements = index;
    return index - start;
  }

  /** The array of the raw form; an empty one, into which nothing can be written, where the contents hold fewer elements. */
  #room(bytes: number): Uint8Array {
    const isPossible = this.#expected <= mostElements(this.#contents.length, this.#datatype);
    this.#raw ??= isPossible ? new Uint8Array(bytes) : NOTHING;
    return this.#raw;
  }
}

const NOTHING = new Uint8Array(0);

/**
 * The raw form of typed contents, at once.
 * @param elements what the shape says.
 * @throws TypedContentsError, or WireError where the contents are malformed
 */
export function typedToRaw(contents: Uint8Array, datatype: Datatype, elements: number): Uint8Array {
  const reading = new TypedContentsReading(contents, datatype, elements);
  reading.advance();
  return reading.finish();
}

function writeUint16(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
}
