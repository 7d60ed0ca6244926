import { readFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { DESCRIPTOR_SET_PATH, PROTO_DIRECTORY } from '../../src/protocol-files.ts';
import { fileDescriptors, readDescriptors } from '../../src/wire/descriptors.ts';

const FILES = fileDescriptors(readFileSync(DESCRIPTOR_SET_PATH));
const OWN = ['inference.proto', 'model_config.proto', 'tensorgate.proto', 'health.proto', 'orca.proto'];

test('the descriptor set holds every file of proto/', () => {
  expect([...FILES.keys()]).toEqual(expect.arrayContaining(OWN));
});

/** All messages of a file as protobufjs parses them from its text: a second reader of the same protocol. */
function parsedMessages(file: string): Map<string, protobuf.Type> {
  const { root } = protobuf.parse(readFileSync(path.join(PROTO_DIRECTORY, file), 'utf8'), { keepCase: true });
  const found = new Map<string, protobuf.Type>();
  const visit = (scope: protobuf.NamespaceBase): void => {
    for (const nested of scope.nestedArray) {
      if (nested instanceof protobuf.Type) found.set(nested.fullName.slice(1), nested);
      if (nested instanceof protobuf.Namespace) visit(nested);
    }
  };
  visit(root);
  return found;
}

test.each(OWN)('the messages and fields of %s match its text', (file) => {
  const { messages } = readDescriptors(FILES.get(file) ?? new Uint8Array());
  const expected = parsedMessages(file);
  expect(expected.size).toBeGreaterThan(0);
  const plain = [...messages].filter(([, { isMapEntry }]) => !isMapEntry);
  expect(plain.map(([name]) => name).sort()).toEqual([...expected.keys()].sort());
  for (const [name, { fields }] of plain) {
    const wanted = expected.get(name)?.fieldsArray ?? [];
    expect(fields.map((field) => [field.name, field.isRepeated])).toEqual(
      wanted.map((field) => [field.name, field.repeated || field instanceof protobuf.MapField]),
    );
    for (const { name: field, type } of fields) {
      const text = wanted.find((each) => each.name === field)?.type;
      if (type !== 'message' && type !== 'enum') expect(type, `${name}.${field}`).toBe(text);
    }
  }
});

test('a field with a type that proto3 does not have is named', () => {
  // FileDescriptorProto { message_type { name: "M" field { name: "old" type: TYPE_GROUP } } }
  const field = [0x0a, 3, ...Buffer.from('old'), 0x28, 10];
  const message = [0x0a, 1, ...Buffer.from('M'), 0x12, field.length, ...field];
  const { messages } = readDescriptors(Uint8Array.from([0x22, message.length, ...message]));
  expect(() => messages.get('.M')?.fields).toThrow("field 'old'");
});
