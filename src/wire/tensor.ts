/** The nouns of the Open Inference Protocol that the gateway, its runners and its clients share. */

/**
 * Every datatype of the protocol with its size in raw contents (row-major, little-endian, no padding).
 * BYTES has no fixed size: each element is a 4-byte unsigned little-endian length and that many bytes.
 */
export const DATATYPE_BYTES = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: undefined,
  BF16: 2,
} as const satisfies Record<string, number | undefined>;

/** A datatype by its protocol name, such as `FP32`. */
export type Datatype = keyof typeof DATATYPE_BYTES;

/** Sizes of the axes, outermost first. `[]` is a scalar; a size of 0 is legal and makes an empty tensor. */
export type Shape = readonly number[];

/** Description of one input or output. An axis of -1 takes any size. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: Shape;
}

export function isDatatype(name: string): name is Datatype {
  return Object.hasOwn(DATATYPE_BYTES, name);
}

/** A tensor as texts about its size name it. */
export interface TensorSize {
  readonly name: string;
  readonly shape: Shape;
  readonly byteLength: number;
}

/** Describes the size of a model's outputs: the largest, and the sum of several. */
export function describeOutputs(outputs: readonly TensorSize[]): string {
  const [largest] = [...outputs].sort((a, b) => b.byteLength - a.byteLength);
  if (largest === undefined) return 'there are no outputs';
  const one = `output '${largest.name}' of shape [${largest.shape}] has ${largest.byteLength} bytes`;
  if (outputs.length === 1) return one;
  return `${one}, all outputs have ${outputs.reduce((sum, { byteLength }) => sum + byteLength, 0)}`;
}

/**
 * The number of elements of `shape`.
 * @returns `undefined` where an axis is negative or no integer, or the product is above 2^53 - 1: it is never wrapped.
 */
export function elementCount(shape: Shape): number | undefined {
  let count = 1;
  let empty = false;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) return undefined;
    if (size === 0) empty = true;
    else count *= size;
    if (count > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return empty ? 0 : count;
}
