/** ONNX Runtime's element types beside the protocol's datatypes. */

import type { Datatype } from '../wire/tensor.ts';

const DATATYPES = {
  bool: 'BOOL',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
  string: 'BYTES',
} as const satisfies Record<string, Datatype>;

export type ElementType = keyof typeof DATATYPES;

const ELEMENT_TYPES = Object.fromEntries(Object.entries(DATATYPES).map(([type, datatype]) => [datatype, type])) as {
  readonly [name in Datatype]?: ElementType;
};

/** The protocol's name of an ONNX Runtime element type, `undefined` where the protocol or the binding has none. */
export function datatypeOf(elementType: string): Datatype | undefined {
  return Object.hasOwn(DATATYPES, elementType) ? DATATYPES[elementType as ElementType] : undefined;
}

export function elementTypeOf(datatype: Datatype): ElementType {
  const type = ELEMENT_TYPES[datatype];
  if (type === undefined) throw new TypeError(`ONNX Runtime's binding takes no ${datatype}`);
  return type;
}

interface TypedArrayConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, byteOffset: number, length: number): ArrayBufferView;
}

/** The typed array that the binding wants over the bytes of a fixed-size element type; float16 travels as its 16-bit patterns. */
export const TYPED_ARRAYS: Readonly<Record<Exclude<ElementType, 'string'>, TypedArrayConstructor>> = {
  bool: Uint8Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};
