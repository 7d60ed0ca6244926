/** Values that fields of a model's configuration have in common. */

import { z } from 'zod';

export const DATA_TYPES = [
  'TYPE_BOOL',
  'TYPE_UINT8',
  'TYPE_UINT16',
  'TYPE_UINT32',
  'TYPE_UINT64',
  'TYPE_INT8',
  'TYPE_INT16',
  'TYPE_INT32',
  'TYPE_INT64',
  'TYPE_FP16',
  'TYPE_FP32',
  'TYPE_FP64',
  'TYPE_STRING',
  'TYPE_BF16',
] as const;

export const positive = z.int().min(1);

export const natural = z.int().min(0);

/** Protobuf's JSON, sent by Triton's clients, writes 64-bit integers as texts. */
export const int64 = (least: number, most = Number.MAX_SAFE_INTEGER) => {
  const read = (value: unknown): unknown =>
    typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  return z.preprocess(read, z.int().min(least).max(most));
};

export const dims = z.array(int64(-1));

export const dataType = z.enum(DATA_TYPES);

/** Protobuf does not distinguish its default value from an omitted field, so the value means an omitted field in every form. */
export const optionalDataType = z
  .enum([...DATA_TYPES, 'TYPE_INVALID'])
  .optional()
  .transform((type) => (type === 'TYPE_INVALID' ? undefined : type));

/** A count whose 0 means an omitted field, as in protobuf. */
export const countOr = (omitted: number) => natural.default(omitted).transform((count) => count || omitted);

/** Triton writes `{string_value: "1"}`; a plain scalar means the same. */
export const parameter = z
  .union([
    z.strictObject({ string_value: z.string().default('') }).transform(({ string_value }) => string_value),
    z.string(),
    z.number(),
    z.boolean(),
  ])
  .transform(String);

export const texts = z.record(z.string(), z.string());

/** Stands for the key `__proto__`, which zod leaves out of records. */
const PROTO = '\0__proto__';

/** An object by names that users choose, as a Map: `constructor` and `__proto__` are names like others. */
export function byName<Value extends z.ZodType>(
  value: Value,
): z.ZodType<ReadonlyMap<string, z.output<Value>>, Readonly<Record<string, z.input<Value>>>> {
  const renamed = (from: string, to: string, entries: object) =>
    Object.entries(entries).map(([name, each]) => [name === from ? to : name, each] as const);
  const read = (given: unknown): unknown =>
    typeof given === 'object' && given !== null && Object.hasOwn(given, '__proto__')
      ? Object.fromEntries(renamed('__proto__', PROTO, given))
      : given;
  return z
    .preprocess(read, z.record(z.string(), value))
    .transform((record) => new Map(renamed(PROTO, '__proto__', record))) as z.ZodType<
    ReadonlyMap<string, z.output<Value>>,
    Readonly<Record<string, z.input<Value>>>
  >;
}

/** Fields that would need an unsupported feature. */
export const REFUSED = 'Refused.';
/** Triton's fields without effect on this server. */
export const NO_EFFECT = 'No effect here; the server logs a warning.';

export function quote(input: unknown): string {
  return typeof input === 'string' ? `'${input.slice(0, 100)}'` : `a value of another type`;
}
