/** The values of the fields of plain messages (`message-codec.ts`), type by type. */

import type { FieldTypeName } from './descriptors.ts';
import type { ProtobufReader } from './protobuf-reader.ts';
import type { ProtobufWriter } from './protobuf-writer.ts';
import { WireType } from './wire-type.ts';

/** Longest text, in UTF-8 bytes: those that read messages bound the messages. */
const MAX_TEXT_BYTES = 2 ** 30;

/** Reads and writes the values of a scalar type. */
export interface FieldValues {
  /** Value of a field that was not sent: proto3 does not send it. */
  readonly zero: unknown;
  /** Reads the value of the field that the reader is at. */
  read(reader: ProtobufReader, name: string): unknown;
  write(writer: ProtobufWriter, field: number, value: unknown): void;
  /** The same for a repeated field, which may hold several values at once. */
  readAll(reader: ProtobufReader, name: string): unknown[];
  writeAll(writer: ProtobufWriter, field: number, values: readonly unknown[]): void;
}

function varints<Value>(fromBits: (low: number, high: number) => Value, toBits: (value: Value) => bigint): FieldValues {
  return {
    zero: fromBits(0, 0),
    read(reader, name) {
      reader.expect(WireType.VARINT, name);
      reader.readVarint();
      return fromBits(reader.low, reader.high);
    },
    write: (writer, field, value) => writer.bigint(field, toBits(value as Value)),
    readAll(reader, name) {
      const values: Value[] = [];
      const outerEnd = reader.enterVarints(name);
      while (reader.left > 0) {
        reader.readVarint();
        values.push(fromBits(reader.low, reader.high));
      }
      reader.leave(outerEnd);
      return values;
    },
    writeAll(writer, field, values) {
      const start = writer.begin(field);
      for (const value of values as readonly Value[]) {
        const bits = toBits(value);
        writer.element(Number(BigInt.asUintN(32, bits)), Number(BigInt.asUintN(32, bits >> 32n)));
      }
      writer.end(start);
    },
  };
}

/** Floating-point numbers of 4 or 8 bytes. */
function floats(size: 4 | 8): FieldValues {
  const wireType = size === 4 ? WireType.FIXED32 : WireType.FIXED64;
  const readAll = (reader: ProtobufReader, name: string): number[] => {
    const length = reader.skipFixed(name, size);
    const { buffer, byteOffset } = reader.view(reader.position - length, reader.position);
    const view = new DataView(buffer, byteOffset, length);
    return Array.from({ length: length / size }, (_, index) =>
      size === 4 ? view.getFloat32(4 * index, true) : view.getFloat64(8 * index, true),
    );
  };
  const bytesOf = (values: readonly number[]): Uint8Array => {
    const bytes = new DataView(new ArrayBuffer(size * values.length));
    for (const [index, value] of values.entries()) {
      if (size === 4) bytes.setFloat32(4 * index, value, true);
      else bytes.setFloat64(8 * index, value, true);
    }
    return new Uint8Array(bytes.buffer);
  };
  return {
    zero: 0,
    read(reader, name) {
      reader.expect(wireType, name);
      return readAll(reader, name)[0];
    },
    write: (writer, field, value) => writer.fixed(field, wireType, bytesOf([value as number])),
    readAll,
    writeAll: (writer, field, values) => writer.bytes(field, bytesOf(values as readonly number[])),
  };
}

/** Values that are never packed. */
function delimited<Value>(
  zero: Value,
  read: (reader: ProtobufReader, name: string) => Value,
  write: (writer: ProtobufWriter, field: number, value: Value) => void,
): FieldValues {
  return {
    zero,
    read,
    write: (writer, field, value) => write(writer, field, value as Value),
    readAll: (reader, name) => [read(reader, name)],
    writeAll: (writer, field, values) => {
      for (const value of values) write(writer, field, value as Value);
    },
  };
}

/** Decimal texts, because a number is exact only up to 2^53. */
type Integer64 = string | number | bigint;

/** Those that a message of `proto/` has. */
export const SCALARS: Partial<Record<FieldTypeName, FieldValues>> = {
  bool: varints<boolean>((low, high) => (low | high) !== 0, BigInt),
  int32: varints<number>((low) => low | 0, BigInt),
  uint32: varints<number>((low) => low, BigInt),
  int64: varints<Integer64>((low, high) => `${(BigInt(high | 0) << 32n) | BigInt(low)}`, BigInt),
  uint64: varints<Integer64>((low, high) => `${(BigInt(high) << 32n) | BigInt(low)}`, BigInt),
  float: floats(4),
  double: floats(8),
  string: delimited<string>(
    '',
    (reader, name) => reader.textAt(reader.text(name, MAX_TEXT_BYTES)),
    (writer, field, value) => writer.text(field, value),
  ),
  bytes: delimited<Uint8Array>(
    new Uint8Array(),
    (reader, name) => reader.bytes(name),
    (writer, field, value) => writer.bytes(field, value),
  ),
};

/** The values of an enum: their names. A number that has no name stays a number, as proto3 demands. */
export function enumValues(numbers: ReadonlyMap<string, number>): FieldValues {
  const names = new Map<number, string>();
  for (const [name, number] of numbers) if (!names.has(number)) names.set(number, name);
  return varints<string | number>(
    (low) => names.get(low | 0) ?? low | 0,
    (value) => {
      const number = typeof value === 'number' ? value : numbers.get(value);
      if (number === undefined) throw new TypeError(`'${value}' is none of ${[...numbers.keys()].join(', ')}`);
      return BigInt(number);
    },
  );
}
