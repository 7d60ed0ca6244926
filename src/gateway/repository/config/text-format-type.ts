/** Types of the text format. */

export type ScalarType = 'bool' | 'string' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'float' | 'double';

/** The names of an enum's values, by their numbers. */
export interface EnumType {
  readonly values: readonly string[];
}

export interface MessageType {
  readonly fields: Readonly<Record<string, Field>>;
  /** Fields that a message may have at most once. */
  readonly oneofs: readonly (readonly string[])[];
}

export type FieldType = ScalarType | EnumType | MessageType;

export interface Field {
  readonly type: FieldType;
  /** `map`: an object by keys, which are written as entries `{ key: … value: … }`. */
  readonly label: 'singular' | 'repeated' | 'map';
  /** Only for a map. */
  readonly keyType?: ScalarType;
}

export type Value = boolean | number | string | Value[] | { [name: string]: Value };

export function isMessage({ type, label }: Field): boolean {
  return label === 'map' || (typeof type === 'object' && 'fields' in type);
}

/** The value of a map entry that names none. */
export function zeroOf(type: FieldType): Value {
  if (type === 'string') return '';
  if (type === 'bool') return false;
  if (typeof type === 'string') return 0;
  return 'values' in type ? (type.values[0] ?? '') : {};
}
