import fs from 'node:fs';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { MODEL_CONFIG_MESSAGE } from '../../../../src/gateway/repository/config/config-pbtxt.ts';
import type { FieldType, MessageType } from '../../../../src/gateway/repository/config/text-format.ts';

const PROTO = new URL('../../../../proto/model_config.proto', import.meta.url);

/** A message as both sides can be told: its fields by name, with label, type and rivals. */
function ofProto(type: protobuf.Type): object {
  return Object.fromEntries(
    type.fieldsArray.map((field) => {
      field.resolve();
      const label =
        field instanceof protobuf.MapField ? `map<${field.keyType}>` : field.repeated ? 'repeated' : 'singular';
      const rivals = field.partOf?.fieldsArray.map(({ name }) => name).sort() ?? [];
      const { resolvedType } = field;
      if (resolvedType instanceof protobuf.Type) return [field.name, { label, rivals, fields: ofProto(resolvedType) }];
      if (resolvedType instanceof protobuf.Enum) {
        const { values } = resolvedType;
        const names = Object.keys(values).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
        expect(names.map((name) => values[name])).toEqual(names.map((_, number) => number));
        return [field.name, { label, rivals, values: names }];
      }
      return [field.name, { label, rivals, scalar: field.type }];
    }),
  );
}

function ofTable({ fields, oneofs }: MessageType): object {
  const typeOf = (type: FieldType): object => {
    if (typeof type === 'string') return { scalar: type };
    return 'values' in type ? { values: [...type.values] } : { fields: ofTable(type) };
  };
  return Object.fromEntries(
    Object.entries(fields).map(([name, { label, type, keyType }]) => {
      const rivals = [...(oneofs.find((names) => names.includes(name)) ?? [])].sort();
      return [name, { label: label === 'map' ? `map<${keyType}>` : label, rivals, ...typeOf(type) }];
    }),
  );
}

test('the table is the message ModelConfig of proto/model_config.proto, whole', () => {
  const { root } = protobuf.parse(fs.readFileSync(PROTO, 'utf8'), { keepCase: true });
  const expected = ofProto(root.lookupType('inference.ModelConfig'));
  // A oneof of one field excludes nothing.
  expect(JSON.parse(JSON.stringify(ofTable(MODEL_CONFIG_MESSAGE)))).toEqual(
    JSON.parse(JSON.stringify(expected), (key, value) => (key === 'rivals' && value.length === 1 ? [] : value)),
  );
});
