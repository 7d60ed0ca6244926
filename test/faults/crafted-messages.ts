/**
 * Messages made to cost a server as much as they can, for every message type of `proto/`: a field again and again, its
 * smallest value each time, at every depth; keys that all differ; one value as long as the message; groups without an end.
 */

import fs from 'node:fs';
import { createFileRegistry, type DescField, type DescMessage, type DescMethod, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { DESCRIPTOR_SET_PATH } from '../../src/protocol-files.ts';

export interface CraftedMessage {
  /** Such as `inputs.contents: int_contents, smallest values`. */
  readonly title: string;
  /** The encoded message, of about `size` bytes. */
  make(size: number): Buffer;
}

/** Every RPC of `proto/`. */
export function everyRpc(): readonly { readonly path: string; readonly method: DescMethod }[] {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(DESCRIPTOR_SET_PATH)));
  return [...registry]
    .filter((type) => type.kind === 'service')
    .flatMap(({ typeName, methods }) => methods.map((method) => ({ path: `/${typeName}/${method.name}`, method })));
}

export function craftedMessages(message: DescMessage): readonly CraftedMessage[] {
  return [
    { title: 'fields that are unknown', make: repeat([...tag(2_000, VARINT), 0]) },
    { title: 'groups without an end', make: repeat(tag(2_000, START_GROUP)) },
    ...craftedFields(message, [], [message.typeName]),
  ];
}

const VARINT = 0;
const FIXED_64 = 1;
const DELIMITED = 2;
const START_GROUP = 3;
const FIXED_32 = 5;

/** @param around the fields in which the message lies; `types`: their types. None of them is entered again. */
function craftedFields(message: DescMessage, around: readonly DescField[], types: readonly string[]): CraftedMessage[] {
  const where = around.map(({ name }) => `${name}.`).join('');
  const within = (make: CraftedMessage['make']): CraftedMessage['make'] => {
    return (size) => around.reduceRight((inner, { number }) => delimited(number, inner), make(size));
  };
  return message.fields.flatMap((field): CraftedMessage[] => {
    const { name, number, fieldKind } = field;
    const crafted = (how: string, make: CraftedMessage['make']): CraftedMessage => ({
      title: `${where}${name}: ${how}`,
      make: within(make),
    });
    const wireType = wireTypeOf(field);
    const smallest = crafted('smallest values', repeat([...tag(number, wireType), ...ZERO[wireType]]));
    if (fieldKind === 'map') return [smallest, crafted('keys that all differ', distinctEntries(number))];
    if (fieldKind === 'message' || (fieldKind === 'list' && field.listKind === 'message')) {
      const inner = field.message;
      if (types.includes(inner.typeName)) return [smallest];
      return [smallest, ...craftedFields(inner, [...around, field], [...types, inner.typeName])];
    }
    if (wireType === DELIMITED) {
      return [smallest, crafted('one long value', (size) => delimited(number, Buffer.alloc(size, 'a')))];
    }
    if (fieldKind !== 'list') return [smallest];
    return [smallest, crafted('packed', (size) => delimited(number, repeat(ZERO[wireType])(size)))];
  });
}

/** A value of each wire type in as few bytes as there can be. */
const ZERO = {
  [VARINT]: [0],
  [FIXED_64]: [0, 0, 0, 0, 0, 0, 0, 0],
  [DELIMITED]: [0],
  [FIXED_32]: [0, 0, 0, 0],
} as const;

function wireTypeOf(field: DescField): keyof typeof ZERO {
  switch (field.scalar) {
    case undefined:
      return field.fieldKind === 'enum' ? VARINT : DELIMITED;
    // DOUBLE, FIXED64, SFIXED64; FLOAT, FIXED32, SFIXED32; STRING, BYTES (google/protobuf/descriptor.proto).
    case 1:
    case 6:
    case 16:
      return field.fieldKind === 'map' ? DELIMITED : FIXED_64;
    case 2:
    case 7:
    case 15:
      return field.fieldKind === 'map' ? DELIMITED : FIXED_32;
    case 9:
    case 12:
      return DELIMITED;
    default:
      return field.fieldKind === 'map' ? DELIMITED : VARINT;
  }
}

/** Entries of a map whose values are absent, with keys of four letters. */
function distinctEntries(field: number): (size: number) => Buffer {
  return (size) => {
    const head = [...tag(field, DELIMITED), 6, ...tag(1, DELIMITED), 4];
    const entry = head.length + 4;
    const bytes = Buffer.alloc(size - (size % entry), Buffer.from([...head, 97, 97, 97, 97]));
    for (let at = head.length, index = 0; at < bytes.length; at += entry, index++) {
      for (let letter = 0, rest = index; letter < 4; letter++, rest = Math.floor(rest / 64)) {
        bytes[at + letter] = 48 + (rest % 64);
      }
    }
    return bytes;
  };
}

function repeat(unit: readonly number[]): (size: number) => Buffer {
  return (size) => Buffer.alloc(size - (size % unit.length), Buffer.from(unit));
}

/** One field of bytes: a tensor, a text, a message. */
export function delimited(field: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([...tag(field, DELIMITED), ...varint(content.byteLength)]), content]);
}

function tag(field: number, wireType: number): readonly number[] {
  return varint(field * 8 + wireType);
}

export function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}
