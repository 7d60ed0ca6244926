/** Datatypes by their names in Triton's model configuration, and in the protocol. */

import type { Datatype } from '../../../wire/tensor.ts';
import type { DATA_TYPES as NAMES } from './config-values.ts';

export type DataType = (typeof NAMES)[number];

const DATA_TYPES: Readonly<Record<Datatype, DataType>> = {
  BOOL: 'TYPE_BOOL',
  UINT8: 'TYPE_UINT8',
  UINT16: 'TYPE_UINT16',
  UINT32: 'TYPE_UINT32',
  UINT64: 'TYPE_UINT64',
  INT8: 'TYPE_INT8',
  INT16: 'TYPE_INT16',
  INT32: 'TYPE_INT32',
  INT64: 'TYPE_INT64',
  FP16: 'TYPE_FP16',
  FP32: 'TYPE_FP32',
  FP64: 'TYPE_FP64',
  BYTES: 'TYPE_STRING',
  BF16: 'TYPE_BF16',
};

const DATATYPES = Object.fromEntries(
  Object.entries(DATA_TYPES).map(([datatype, name]) => [name, datatype]),
) as Readonly<Record<DataType, Datatype>>;

/** The name of a datatype in Triton's model configuration. */
export function dataTypeOf(datatype: Datatype): string {
  return DATA_TYPES[datatype];
}

/** The datatype of a name that a configuration may use. */
export function datatypeOf(name: DataType): Datatype {
  return DATATYPES[name];
}
