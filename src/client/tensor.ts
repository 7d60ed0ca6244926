import { decodeBytesTensor, encodeBytesTensor } from '../wire/bytes-tensor.ts';
import { DATATYPE_BYTES, type Datatype, elementCount, type Shape } from '../wire/tensor.ts';

/**
 * The typed array for the elements of each datatype, in row-major order. BOOL is 0 or 1, FP16 and BF16 are bit patterns, and each
 * element of BYTES is a byte string.
 */
export interface Elements {
  BOOL: Uint8Array;
  UINT8: Uint8Array;
  UINT16: Uint16Array;
  UINT32: Uint32Array;
  UINT64: BigUint64Array;
  INT8: Int8Array;
  INT16: Int16Array;
  INT32: Int32Array;
  INT64: BigInt64Array;
  FP16: Uint16Array;
  FP32: Float32Array;
  FP64: Float64Array;
  BF16: Uint16Array;
  BYTES: readonly Uint8Array[];
}

const ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
  BF16: Uint16Array,
} as const;

type FixedDatatype = keyof typeof ARRAYS;

/** `Float16Array` where the runtime, and the compiler's `lib`, have it: Node from 24 on. */
export type HalfFloats = typeof globalThis extends { Float16Array: { readonly prototype: infer Halves } }
  ? Halves
  : never;

/**
 * A tensor to send, or a received one: `data` is the typed array of its datatype, `shape` the sizes of its axes. `tensor.fp32(…)`
 * and its siblings make one. A received tensor is a view of the answer where alignment allows it, so keeping a small tensor keeps
 * the whole answer in memory; copy it if that matters.
 *
 * Raw contents are little-endian, and typed arrays have the byte order of the machine: on a big-endian machine this is wrong.
 */
export class Tensor<D extends Datatype = Datatype, S extends Shape = Shape> {
  readonly datatype: D;
  readonly shape: S;
  readonly data: Elements[D];

  /**
   * @param data of FP16, a Float16Array too: its bit patterns are the elements
   * @throws TypeError where `data` is not the array of `datatype`
   * @throws RangeError where `data` has not as many elements as `shape` calls for
   */
  constructor(datatype: D, shape: S, data: Elements[D] | (D extends 'FP16' ? HalfFloats : never)) {
    const elements = datatype === 'FP16' ? toBits(data) : data;
    const wanted = isFixed(datatype) ? ARRAYS[datatype] : Array;
    if (!(elements instanceof wanted)) throw new TypeError(`the elements of ${datatype} come in a ${wanted.name}`);
    const count = elementCount(shape);
    if (count !== elements.length) {
      throw new RangeError(`shape [${shape.join(',')}] does not hold ${elements.length} elements`);
    }
    this.datatype = datatype;
    this.shape = shape;
    this.data = elements as Elements[D];
  }

  /**
   * The elements of an FP16 tensor as numbers: a view, not a copy.
   * @throws TypeError for another datatype, and where the runtime has no Float16Array (Node before 24)
   */
  halfFloats(): HalfFloats {
    if (this.datatype !== 'FP16') throw new TypeError(`a tensor of ${this.datatype} has no half floats`);
    const { buffer, byteOffset, length } = this.data as Elements['FP16'];
    return new (halfFloatArray())(buffer, byteOffset, length) as HalfFloats;
  }

  /**
   * The elements of a BYTES tensor as text.
   * @throws TypeError for another datatype, and where an element is not UTF-8
   */
  strings(): string[] {
    if (this.datatype !== 'BYTES') throw new TypeError(`a tensor of ${this.datatype} has no strings`);
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    return (this.data as Elements['BYTES']).map((element) => decoder.decode(element));
  }
}

/** A tensor of any datatype: comparing `datatype` narrows the type of `data`. */
export type AnyTensor = { [D in Datatype]: Tensor<D> }[Datatype];

/**
 * Makes a tensor of each datatype, from its typed array, which is not copied, or from plain values.
 * All throw RangeError where the values do not fill the shape, or one of them does not fit an integer datatype.
 */
export const tensor = {
  bool: <const S extends Shape>(data: Uint8Array | readonly boolean[], shape: S) =>
    tensorOf('BOOL', shape, data instanceof Uint8Array ? data : data.map(Number)),
  uint8: <const S extends Shape>(data: Uint8Array | readonly number[], shape: S) => tensorOf('UINT8', shape, data),
  uint16: <const S extends Shape>(data: Uint16Array | readonly number[], shape: S) => tensorOf('UINT16', shape, data),
  uint32: <const S extends Shape>(data: Uint32Array | readonly number[], shape: S) => tensorOf('UINT32', shape, data),
  uint64: <const S extends Shape>(data: BigUint64Array | readonly bigint[], shape: S) =>
    tensorOf('UINT64', shape, data),
  int8: <const S extends Shape>(data: Int8Array | readonly number[], shape: S) => tensorOf('INT8', shape, data),
  int16: <const S extends Shape>(data: Int16Array | readonly number[], shape: S) => tensorOf('INT16', shape, data),
  int32: <const S extends Shape>(data: Int32Array | readonly number[], shape: S) => tensorOf('INT32', shape, data),
  int64: <const S extends Shape>(data: BigInt64Array | readonly bigint[], shape: S) => tensorOf('INT64', shape, data),
  /** Bit patterns of binary16, or the numbers themselves: a Float16Array, or a list where the runtime has Float16Array. */
  fp16: <const S extends Shape>(data: Uint16Array | HalfFloats | readonly number[], shape: S) =>
    new Tensor('FP16', shape, isList(data) ? toBits(halfFloatArray().from(data)) : (data as Uint16Array)),
  fp32: <const S extends Shape>(data: Float32Array | readonly number[], shape: S) => tensorOf('FP32', shape, data),
  fp64: <const S extends Shape>(data: Float64Array | readonly number[], shape: S) => tensorOf('FP64', shape, data),
  /** Bit patterns of bfloat16: the upper halves of binary32. */
  bf16: <const S extends Shape>(data: Uint16Array, shape: S) => tensorOf('BF16', shape, data),
  /** A string becomes its UTF-8 bytes. */
  bytes: <const S extends Shape>(data: readonly (Uint8Array | string)[], shape: S) =>
    new Tensor(
      'BYTES',
      shape,
      data.map((element) => (typeof element === 'string' ? new TextEncoder().encode(element) : element)),
    ),
} as const;

/** `Array.isArray` does not narrow a union with a readonly array. */
function isList(data: unknown): data is readonly number[] {
  return Array.isArray(data);
}

/** @throws TypeError where the runtime has none */
function halfFloatArray(): Float16ArrayConstructor {
  const { Float16Array } = globalThis as { Float16Array?: Float16ArrayConstructor };
  if (Float16Array === undefined) {
    throw new TypeError('this runtime has no Float16Array: use the bit patterns, a Uint16Array');
  }
  return Float16Array;
}

/** The bit patterns of a Float16Array, as a view; anything else as it is. */
function toBits<Data>(data: Data): Data | Uint16Array {
  if (!ArrayBuffer.isView(data) || data.constructor.name !== 'Float16Array') return data;
  return new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
}

function tensorOf<D extends FixedDatatype, S extends Shape>(
  datatype: D,
  shape: S,
  data: Elements[D] | readonly (number | bigint)[],
): Tensor<D, S> {
  return new Tensor(datatype, shape, Array.isArray(data) ? toElements(datatype, data) : (data as Elements[D]));
}

function toElements<D extends FixedDatatype>(datatype: D, values: readonly (number | bigint)[]): Elements[D] {
  const elements = new ARRAYS[datatype](values.length);
  const isFloat = datatype === 'FP32' || datatype === 'FP64';
  values.forEach((value, i) => {
    elements[i] = value;
    if (!isFloat && elements[i] !== value) throw new RangeError(`element ${i} is ${value}, which is no ${datatype}`);
  });
  return elements as Elements[D];
}

function isFixed(datatype: Datatype): datatype is FixedDatatype {
  return datatype !== 'BYTES';
}

/** The raw contents of `tensor`: a view of its data, but for BYTES. */
export function encodeTensor({ data }: AnyTensor): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : encodeBytesTensor(data);
}

/**
 * The tensor whose raw contents are `raw`: a view of them, or of a copy where they are not aligned for their datatype.
 * @throws RangeError or BytesTensorError where `raw` has not as many elements as `shape` calls for
 */
export function decodeTensor(datatype: Datatype, shape: Shape, raw: Uint8Array): AnyTensor {
  const make = (data: Elements[Datatype]): AnyTensor => new Tensor(datatype, shape, data) as AnyTensor;
  if (!isFixed(datatype)) return make(decodeBytesTensor(raw, elementCount(shape) ?? 0));
  const size = DATATYPE_BYTES[datatype];
  const aligned = raw.byteOffset % size === 0 ? raw : new Uint8Array(raw);
  const View: View = ARRAYS[datatype];
  return make(new View(aligned.buffer, aligned.byteOffset, aligned.byteLength / size));
}

/** The constructors of typed arrays have no common signature for TypeScript. */
type View = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => Elements[FixedDatatype];
