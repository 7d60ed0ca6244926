import { BYTES_LENGTH_SIZE, bytesElementEnd, checkBytesTensor, writeUint32 } from './bytes-tensor.ts';
import { ProtobufReader } from './protobuf-reader.ts';
import { ProtobufWriter } from './protobuf-writer.ts';
import { DATATYPE_BYTES, type Datatype } from './tensor.ts';

/**
 * A checked `InferTensorContents`, the form in which hand-written clients send tensors: one repeated field per kind of
 * element. It stays as it came; nothing is expanded before the model has said how many elements it wants.
 */
export interface TypedContents {
  /** The encoded message: a view of the request. */
  readonly bytes: Uint8Array;
  /** The datatype that each field with elements is named by (`int_contents` by INT32), in the order of the fields. */
  readonly datatypes: readonly Datatype[];
  /** How many elements all fields have together. */
  readonly elements: number;
}

export const NO_CONTENTS: TypedContents = Object.freeze({ bytes: new Uint8Array(0), datatypes: [], elements: 0 });

const BOOL_CONTENTS = 1;
const INT_CONTENTS = 2;
const INT64_CONTENTS = 3;
const UINT_CONTENTS = 4;
const UINT64_CONTENTS = 5;
const FP32_CONTENTS = 6;
const FP64_CONTENTS = 7;
const BYTES_CONTENTS = 8;

/** The datatype that each field is named by, at the field's number less one. */
const FIELD_DATATYPES: readonly Datatype[] = ['BOOL', 'INT32', 'INT64', 'UINT32', 'UINT64', 'FP32', 'FP64', 'BYTES'];

/** The number of the field in which a datatype travels. Integers of 8 and 16 bits travel widened. */
const FIELD_OF = {
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
type VarintDatatype = Exclude<TypedDatatype, 'FP32' | 'FP64' | 'BYTES'>;

/** The values that fit, of datatypes that are narrower than the 32 bits in which they travel. */
const RANGES: Partial<Record<VarintDatatype, { readonly min: number; readonly max: number }>> = {
  INT8: { min: -0x80, max: 0x7f },
  INT16: { min: -0x8000, max: 0x7fff },
  UINT8: { min: 0, max: 0xff },
  UINT16: { min: 0, max: 0xffff },
};

/** What is wrong with typed contents: `datatype` names the field that the tensor's own datatype does not travel in. */
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

/** Consumes a `contents` field: checks and counts all of it, keeps a view. */
export function readTypedContents(reader: ProtobufReader): TypedContents {
  const outerEnd = reader.enter('contents');
  const start = reader.position;
  let elements = 0;
  let present = 0;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    const count = countElements(reader, field);
    if (count > 0) present |= 1 << field;
    elements += count;
  }
  const bytes = reader.view(start, reader.position);
  reader.leave(outerEnd);
  const datatypes = FIELD_DATATYPES.filter((_, i) => (present & (2 << i)) !== 0);
  return { bytes, datatypes, elements };
}

/** Consumes the value of any field of the contents and returns how many elements it adds. */
function countElements(reader: ProtobufReader, field: number): number {
  switch (field) {
    case BOOL_CONTENTS:
    case INT_CONTENTS:
    case INT64_CONTENTS:
    case UINT_CONTENTS:
    case UINT64_CONTENTS:
      return reader.countVarints('a field of typed contents');
    case FP32_CONTENTS:
      return reader.skipFixed('fp32_contents', 4) / 4;
    case FP64_CONTENTS:
      return reader.skipFixed('fp64_contents', 8) / 8;
    case BYTES_CONTENTS:
      reader.skipBytes('bytes_contents');
      return 1;
    default:
      reader.skip();
      return 0;
  }
}

/**
 * The raw form of typed contents: a view where they are one packed run of FP32 or FP64, which is little-endian on the
 * wire too; else one new array of exactly the tensor's size. BOOL becomes 0 or 1.
 * An INT64 may have come as one byte, so the array can be eight times as large as the contents: have room for it first.
 * @param elements what the shape says
 * @throws TypedContentsError
 */
export function typedToRaw(contents: TypedContents, datatype: Datatype, elements: number): Uint8Array {
  const field = isTypedDatatype(datatype) ? FIELD_OF[datatype] : undefined;
  const wrong = contents.datatypes.find((found) => field === undefined || found !== FIELD_DATATYPES[field - 1]);
  if (wrong !== undefined) {
    throw new TypedContentsError(
      { kind: 'wrong_field', datatype: wrong },
      `typed contents of datatype ${wrong} for a tensor of datatype ${datatype}`,
    );
  }
  const got = contents.elements;
  if (got !== elements) {
    throw new TypedContentsError({ kind: 'count', got, expected: elements }, `${got} elements, expected ${elements}`);
  }
  if (elements === 0 || !isTypedDatatype(datatype)) return new Uint8Array(0);
  switch (datatype) {
    case 'FP32':
      return fixedToRaw(contents, FP32_CONTENTS, 4);
    case 'FP64':
      return fixedToRaw(contents, FP64_CONTENTS, 8);
    case 'BYTES':
      return bytesToRaw(contents);
    default:
      return varintsToRaw(contents, datatype);
  }
}

function fixedToRaw(contents: TypedContents, ownField: number, size: 4 | 8): Uint8Array {
  const reader = new ProtobufReader(contents.bytes);
  const total = contents.elements * size;
  let raw: Uint8Array | undefined;
  let at = 0;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field !== ownField) {
      reader.skip();
      continue;
    }
    const length = reader.skipFixed('typed contents', size);
    const start = reader.position - length;
    if (length === total) return reader.view(start, reader.position);
    raw ??= new Uint8Array(total);
    reader.copy(start, length, raw, at);
    at += length;
  }
  return raw ?? new Uint8Array(0);
}

function bytesToRaw(contents: TypedContents): Uint8Array {
  let total = contents.elements * BYTES_LENGTH_SIZE;
  const sizes = new ProtobufReader(contents.bytes);
  for (let field = sizes.next(); field !== 0; field = sizes.next()) {
    if (field === BYTES_CONTENTS) total += sizes.skipBytes('bytes_contents');
    else sizes.skip();
  }
  const raw = new Uint8Array(total);
  const reader = new ProtobufReader(contents.bytes);
  let at = 0;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field !== BYTES_CONTENTS) {
      reader.skip();
      continue;
    }
    const length = reader.skipBytes('bytes_contents');
    at = writeUint32(raw, at, length);
    reader.copy(reader.position - length, length, raw, at);
    at += length;
  }
  return raw;
}

function varintsToRaw(contents: TypedContents, datatype: VarintDatatype): Uint8Array {
  const reader = new ProtobufReader(contents.bytes);
  const size = DATATYPE_BYTES[datatype];
  const range = RANGES[datatype];
  const raw = new Uint8Array(contents.elements * size);
  let index = 0;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field !== FIELD_OF[datatype]) {
      reader.skip();
      continue;
    }
    const outerEnd = reader.enterVarints('typed contents');
    for (; reader.left > 0; index += 1) {
      reader.readVarint();
      const { low, high } = reader;
      if (range !== undefined) {
        const value = range.min < 0 ? low | 0 : low;
        if (value < range.min || value > range.max) throw rangeError(datatype, value, index);
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
    reader.leave(outerEnd);
  }
  return raw;
}

function writeUint16(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
}

function rangeError(datatype: VarintDatatype, value: number, index: number): TypedContentsError {
  return new TypedContentsError(
    { kind: 'range', value, index },
    `element ${index} is ${value}, which is no ${datatype}`,
  );
}

/**
 * The typed form of a raw tensor: the encoded `InferTensorContents`, in chunks. FP32 and FP64 stay a view.
 * @throws RangeError where `raw` is not a tensor of so many elements
 */
export function rawToTyped(raw: Uint8Array, datatype: TypedDatatype, elements: number): Uint8Array[] {
  if (datatype === 'BYTES') checkBytesTensor(raw, elements);
  else if (raw.length !== elements * DATATYPE_BYTES[datatype]) {
    throw new RangeError(`${raw.length} bytes are not ${elements} elements of ${datatype}`);
  }
  const writer = new ProtobufWriter();
  if (datatype === 'BYTES') {
    for (let at = 0; at < raw.length; ) {
      const end = bytesElementEnd(raw, at);
      writer.copiedBytes(BYTES_CONTENTS, raw, at + BYTES_LENGTH_SIZE, end);
      at = end;
    }
  } else if (raw.length > 0) {
    if (datatype === 'FP32' || datatype === 'FP64') writer.bytes(FIELD_OF[datatype], raw);
    else writeVarints(writer, raw, datatype);
  }
  return writer.finish();
}

function writeVarints(writer: ProtobufWriter, raw: Uint8Array, datatype: VarintDatatype): void {
  const size = DATATYPE_BYTES[datatype];
  const isSigned = datatype.startsWith('INT');
  const start = writer.begin(FIELD_OF[datatype]);
  for (let at = 0; at < raw.length; at += size) {
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
    writer.element(low, high);
  }
  writer.end(start);
}
