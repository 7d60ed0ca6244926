import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { DESCRIPTOR_SET_PATH, PROTO_DIRECTORY } from '../../src/protocol-files.ts';
import { fileDescriptors, joinDescriptors, readDescriptors } from '../../src/wire/descriptors.ts';
import { WireError } from '../../src/wire/limits.ts';
import { MessageCodecs } from '../../src/wire/message-codec.ts';

const DESCRIPTORS = joinDescriptors(
  [...fileDescriptors(readFileSync(DESCRIPTOR_SET_PATH)).values()].map(readDescriptors),
);
const CODECS = new MessageCodecs(DESCRIPTORS);
const NAMES = [...DESCRIPTORS.messages].filter(([, { isMapEntry }]) => !isMapEntry).map(([name]) => name);

/** The second implementation of the same messages. */
const ROOT = new protobuf.Root();
ROOT.resolvePath = (_, target) =>
  target.startsWith('google/') ? target : path.join(PROTO_DIRECTORY, path.basename(target));
ROOT.loadSync(['inference.proto', 'tensorgate.proto', 'health.proto', 'orca.proto', 'reflection.proto'], {
  keepCase: true,
});

const PRESENTATION = { longs: String, enums: String, bytes: Array, defaults: true } as const;

/** Any message of a type, with any of its fields, and at most one of each oneof. */
function anyMessage(type: protobuf.Type): fc.Arbitrary<Record<string, unknown>> {
  const values = Object.fromEntries(type.fieldsArray.map((field) => [field.name, anyField(field)]));
  return fc.record(values, { requiredKeys: [] }).map((message) => {
    for (const { fieldsArray } of type.oneofsArray) {
      const sent = fieldsArray.filter(({ name }) => name in message);
      for (const { name } of sent.slice(1)) delete message[name];
    }
    return message;
  });
}

function anyField(field: protobuf.Field): fc.Arbitrary<unknown> {
  field.resolve();
  const value = anyValue(field);
  if (field instanceof protobuf.MapField) {
    // protobufjs shows a key of 64 bits as eight characters.
    if (field.keyType !== 'string') return fc.constant({});
    return fc.dictionary(fc.stringMatching(/^[a-z]{0,3}$/), value, { maxKeys: 3 });
  }
  return field.repeated ? fc.array(value, { maxLength: 4 }) : value;
}

function anyValue({ type, resolvedType }: protobuf.Field): fc.Arbitrary<unknown> {
  if (resolvedType instanceof protobuf.Type) return anyMessage(resolvedType);
  if (resolvedType instanceof protobuf.Enum) return fc.constantFrom(...Object.keys(resolvedType.values));
  switch (type) {
    case 'bool':
      return fc.boolean();
    case 'string':
      return fc.string({ unit: 'binary', maxLength: 200 });
    case 'bytes':
      return fc.uint8Array({ maxLength: 20 });
    case 'float':
      return fc.float();
    case 'double':
      return fc.double();
    case 'int32':
      return fc.integer();
    case 'uint32':
      return fc.nat({ max: 2 ** 32 - 1 });
    case 'int64':
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
    case 'uint64':
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
    default:
      throw new TypeError(`no value of type ${type}`);
  }
}

/** As protobufjs shows a message: bytes are lists of numbers, and a message that was not sent is null. */
function shown(message: unknown): unknown {
  if (message instanceof Uint8Array) return [...message];
  if (Array.isArray(message)) return message.map(shown);
  if (typeof message !== 'object' || message === null) return message;
  const entries = Object.entries(message).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.map(([name, value]) => [name, shown(value)]));
}

// protobufjs looks into the well-known type by another way.
test.each(NAMES.filter((name) => !name.startsWith('google.')))(
  '%s is read and written as protobufjs does it',
  (name) => {
    const type = ROOT.lookupType(name);
    const codec = CODECS.of(name);
    fc.assert(
      fc.property(anyMessage(type), (message) => {
        const encoded = type.encode(type.fromObject(message)).finish();
        const expected = shown(type.toObject(type.decode(encoded), PRESENTATION));
        expect(shown(codec.decode(encoded))).toEqual(expected);
        expect(shown(type.toObject(type.decode(codec.encode(message)), PRESENTATION))).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  },
);

describe('a message', () => {
  const decode = (name: string, ...bytes: number[]) => CODECS.of(name).decode(Uint8Array.from(bytes));

  test('that has no field on the wire has the zero of each, and no member of a oneof', () => {
    expect(decode('inference.ModelReadyRequest')).toEqual({ name: '', version: '' });
    expect(decode('inference.LogSettingsRequest.SettingValue')).toEqual({});
  });

  test('leaves out what has its zero, and writes a member of a oneof and a negative zero', () => {
    expect(CODECS.of('inference.ModelReadyRequest').encode({ name: '', version: '' })).toHaveLength(0);
    expect(CODECS.of('inference.StatisticDuration').encode({ count: 0, ns: '0' })).toHaveLength(0);
    expect(CODECS.of('inference.LogSettingsRequest.SettingValue').encode({ bool_param: false })).toHaveLength(2);
    expect(CODECS.of('tensorgate.v1.RolloutState').encode({ shadow_share: -0 })).toHaveLength(9);
  });

  test('keeps only the last member of a oneof', () => {
    const [yes, text] = [
      [0x08, 1],
      [0x1a, 1, 0x61],
    ];
    expect(decode('inference.LogSettingsRequest.SettingValue', ...yes, ...text)).toEqual({ string_param: 'a' });
    expect(decode('inference.LogSettingsRequest.SettingValue', ...text, ...yes)).toEqual({ bool_param: true });
  });

  test('joins a message that comes twice', () => {
    const state = decode('inference.ModelConfigResponse', 0x0a, 3, 0x0a, 1, 0x6d, 0x0a, 2, 0x20, 8);
    expect(state['config']).toMatchObject({ name: 'm', max_batch_size: 8 });
  });

  test('may have `__proto__` among the keys of a map', () => {
    const key = [...Buffer.from('__proto__')];
    const entry = [0x0a, key.length, ...key, 0x12, 2, 0x08, 1];
    const { settings } = decode('inference.LogSettingsRequest', 0x0a, entry.length, ...entry);
    expect(Object.entries(settings as object)).toEqual([['__proto__', { bool_param: true }]]);
    expect(({} as { bool_param?: boolean }).bool_param).toBeUndefined();
  });

  test('has the keys of a map as texts, whatever their type', () => {
    const codec = CODECS.of('inference.ModelDynamicBatching');
    const levels = { '1': { max_queue_size: 8 }, [String(2n ** 64n - 1n)]: { max_queue_size: 2 } };
    const { priority_queue_policy } = codec.decode(codec.encode({ priority_queue_policy: levels }));
    expect({ ...(priority_queue_policy as object) }).toMatchObject(levels);
  });

  test('gives an entry of a map without a value the empty one', () => {
    const { settings } = decode('inference.LogSettingsRequest', 0x0a, 3, 0x0a, 1, 0x61);
    expect({ ...(settings as object) }).toEqual({ a: {} });
  });

  test('keeps a number that its enum does not name, and refuses to write a name that it does not have', () => {
    expect(decode('grpc.health.v1.HealthCheckResponse', 0x08, 42)).toEqual({ status: 42 });
    expect(() => CODECS.of('grpc.health.v1.HealthCheckResponse').encode({ status: 'SURE' })).toThrow(
      "'SURE' is none of",
    );
  });

  test('skips fields that are unknown', () => {
    expect(decode('inference.ModelReadyRequest', 0x7a, 1, 0, 0x0a, 1, 0x6d)).toEqual({ name: 'm', version: '' });
  });

  test.each([
    ['is cut off', [0x0a, 5, 0x61]],
    ['has a field of another wire type', [0x08, 1]],
    ['has a text that is not UTF-8', [0x0a, 1, 0xff]],
  ])('is refused when it %s', (_, bytes) => {
    expect(() => decode('inference.ModelReadyRequest', ...bytes)).toThrow(WireError);
  });
});
