import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/wire/limits.ts';
import { ProtobufWriter } from '../../src/wire/protobuf-writer.ts';
import { decodeRepositoryRequest, MAX_CONFIG_BYTES } from '../../src/wire/repository-request.ts';
import { loadService } from '../gateway/accept/reference-service.ts';

const LOAD = loadService('inference.proto', 'inference.GRPCInferenceService')['RepositoryModelLoad'];

function encoded(request: object): Uint8Array {
  if (LOAD === undefined) throw new Error('there is no RepositoryModelLoad');
  return LOAD.requestSerialize(request);
}

test('a load request as the stock encoder writes it is read, with each kind of parameter', () => {
  const file = Uint8Array.of(1, 2, 3);
  const request = {
    repository_name: 'r',
    model_name: 'm',
    parameters: {
      config: { string_param: '{"max_batch_size": 8}' },
      'file:1/model.onnx': { bytes_param: file },
      flag: { bool_param: true },
      count: { int64_param: '-9007199254740993' },
      nothing: {},
    },
  };
  const { parameters, ...names } = decodeRepositoryRequest(encoded(request));
  expect(names).toEqual({ repository_name: 'r', model_name: 'm' });
  expect([...parameters]).toEqual([
    ['config', { string_param: '{"max_batch_size": 8}' }],
    ['file:1/model.onnx', { bytes_param: file }],
    ['flag', { bool_param: true }],
    ['count', { int64_param: -9007199254740993n }],
    ['nothing', {}],
  ]);
});

test('a file stays a view of the message', () => {
  const message = encoded({ parameters: { 'file:1/a': { bytes_param: new Uint8Array(100_000) } } });
  const file = decodeRepositoryRequest(message).parameters.get('file:1/a')?.bytes_param;
  expect(file?.buffer).toBe(message.buffer);
  expect(file?.byteLength).toBe(100_000);
});

test('the key __proto__ is a key like any other', () => {
  const writer = new ProtobufWriter();
  const entry = writer.begin(3);
  writer.text(1, '__proto__');
  writer.end(entry);
  expect([...decodeRepositoryRequest(Buffer.concat(writer.finish())).parameters]).toEqual([['__proto__', {}]]);
});

test('the last value of a key counts, as in any decoder', () => {
  const bytes = Buffer.concat([
    encoded({ parameters: { config: { string_param: 'first' } } }),
    encoded({ parameters: { config: { string_param: 'second' } } }),
  ]);
  expect([...decodeRepositoryRequest(bytes).parameters]).toEqual([['config', { string_param: 'second' }]]);
});

test('a thousand files and their configuration are read', () => {
  const files = Array.from({ length: 1_000 }, (_, index) => [`file:1/${index}`, { bytes_param: Uint8Array.of(7) }]);
  const parameters = { config: { string_param: 'x'.repeat(MAX_CONFIG_BYTES) }, ...Object.fromEntries(files) };
  expect(decodeRepositoryRequest(encoded({ parameters })).parameters.size).toBe(1_001);
});

/** `count` times the same bytes. */
const many = (count: number, ...unit: number[]): Uint8Array => Buffer.alloc(count * unit.length, Uint8Array.from(unit));
const MANY = 2 ** 24;

describe('a message that is small in bytes and large in fields is refused while it is read', () => {
  test.each([
    { name: 'of entries without key and value', bytes: many(MANY, 0x1a, 0), problem: /more than 1024 parameters/ },
    { name: 'of names', bytes: many(MANY, 0x12, 0), problem: /more than 8192 fields/ },
    { name: 'of unknown fields', bytes: many(MANY, 0x78, 0), problem: /more than 8192 fields/ },
    {
      name: 'of an entry with many keys',
      bytes: within(0x1a, many(MANY, 0x0a, 0)),
      problem: /more than 8192 fields/,
    },
    {
      name: 'of a value with many kinds',
      bytes: within(0x1a, within(0x12, many(MANY, 0x08, 1))),
      problem: /more than 8192 fields/,
    },
    { name: 'of a group', bytes: Buffer.concat([Uint8Array.of(0x7b), many(MANY, 0x08, 0)]), problem: /a group/ },
  ])('$name', ({ bytes, problem }) => {
    const before = process.cpuUsage();
    expect(() => decodeRepositoryRequest(bytes)).toThrow(problem);
    // A walk over all of it takes 200 ms, and a stock decoder far more.
    expect(process.cpuUsage(before).user).toBeLessThan(100_000);
  });

  test('with many texts that are a message each', () => {
    const text = within(0x1a, within(0x12, within(0x1a, many(MAX_CONFIG_BYTES, 0x61))));
    expect(() => decodeRepositoryRequest(Buffer.concat([text, text]))).toThrow(WireError);
  });
});

/** A length-delimited field around `bytes`. */
function within(tag: number, bytes: Uint8Array): Uint8Array {
  const length: number[] = [];
  let rest = bytes.length;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) length.push((rest % 128) | 0x80);
  return Buffer.concat([Uint8Array.of(tag, ...length, rest), bytes]);
}
