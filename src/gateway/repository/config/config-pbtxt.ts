/** Triton's `config.pbtxt`: the text format of the message `ModelConfig`, as the protocol that is installed describes it. */

import { readFileSync } from 'node:fs';
import { DESCRIPTOR_SET_PATH } from '../../../protocol-files.ts';
import { type Descriptors, type FieldDescriptor, fileDescriptors, readDescriptors } from '../../../wire/descriptors.ts';
import type { ReadDocument } from './located.ts';
import { parseTextFormat } from './text-format.ts';
import type { Field, FieldType, MessageType, ScalarType } from './text-format-type.ts';

/** Triton's text form of a configuration. The schema of `model-config.ts` judges the values. */
export function readPbtxt(text: string): ReadDocument {
  return parseTextFormat(text, modelConfigMessage());
}

const SCALARS: ReadonlySet<string> = new Set<ScalarType>([
  'bool',
  'string',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'float',
  'double',
]);

let found: MessageType | undefined;

/** The message `ModelConfig`, which is read when the first file asks for it. */
export function modelConfigMessage(): MessageType {
  found ??= messageType('inference.ModelConfig', descriptorsOf('model_config.proto'));
  return found;
}

function descriptorsOf(file: string): Descriptors {
  return readDescriptors(known(fileDescriptors(readFileSync(DESCRIPTOR_SET_PATH)), file));
}

function messageType(fullName: string, descriptors: Descriptors): MessageType {
  const { fields } = known(descriptors.messages, fullName);
  const oneofs = Map.groupBy(fields, ({ oneof }) => oneof);
  oneofs.delete(undefined);
  return {
    fields: Object.fromEntries(fields.map((field) => [field.name, fieldOf(field, descriptors)])),
    // A oneof of one field excludes nothing.
    oneofs: [...oneofs.values()].filter(({ length }) => length > 1).map((rivals) => rivals.map(({ name }) => name)),
  };
}

function fieldOf({ isRepeated, type, typeName }: FieldDescriptor, descriptors: Descriptors): Field {
  if (!isRepeated) return { type: fieldType(type, typeName, descriptors), label: 'singular' };
  const entry = type === 'message' ? known(descriptors.messages, typeName) : undefined;
  if (entry?.isMapEntry !== true) return { type: fieldType(type, typeName, descriptors), label: 'repeated' };
  const { fields } = messageType(typeName, descriptors);
  const [key, value] = [fields['key']?.type, fields['value']?.type];
  if (value === undefined || !isScalar(key)) throw new TypeError(`${typeName} is not the entry of a map`);
  return { type: value, label: 'map', keyType: key };
}

function fieldType(type: FieldDescriptor['type'], typeName: string, descriptors: Descriptors): FieldType {
  if (type === 'message') return messageType(typeName, descriptors);
  if (type === 'enum') return { values: namesByNumber(known(descriptors.enums, typeName), typeName) };
  if (!isScalar(type)) throw new TypeError(`the text format is not read for fields of type ${type}`);
  return type;
}

/** The text format takes the number of a value too: it is the place of its name. */
function namesByNumber(values: ReadonlyMap<string, number>, typeName: string): string[] {
  const names: string[] = [];
  for (const [name, number] of values) names[number] ??= name;
  if (names.length !== values.size)
    throw new TypeError(`the values of ${typeName} are not numbered from 0 without gaps`);
  return names;
}

function isScalar(type: FieldType | FieldDescriptor['type'] | undefined): type is ScalarType {
  return typeof type === 'string' && SCALARS.has(type);
}

function known<Described>(byName: ReadonlyMap<string, Described>, name: string): Described {
  const found = byName.get(name);
  if (found === undefined) throw new TypeError(`the installed protocol does not describe ${name}`);
  return found;
}
