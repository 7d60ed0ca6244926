import { describe, expect, test } from 'vitest';

import type { InferParameter } from '../../src/wire/infer-parameter.ts';
import { decodeInferRequest, encodeInferRequest, type InferRequest } from '../../src/wire/infer-request.ts';
import { DEFAULT_WIRE_LIMITS } from '../../src/wire/limits.ts';
import { hex, nest } from './hex.ts';

/** The parameters of a request that has the given map entries. */
function decode(...entries: string[]): [string, InferParameter][] {
  const message = hex(...entries.map((entry) => nest(4, entry)));
  return [...decodeInferRequest(message, DEFAULT_WIRE_LIMITS).parameters];
}

describe('one entry', () => {
  test.each<[string, string, InferParameter]>([
    ['true', '0801', { kind: 'bool', value: true }],
    ['false, which is present', '0800', { kind: 'bool', value: false }],
    ['any varint but 0, which is true', '0880808080808001', { kind: 'bool', value: true }],
    ['a small int64', '1005', { kind: 'int64', value: 5n }],
    ['-1', '10ffffffffffffffffff01', { kind: 'int64', value: -1n }],
    ['the lowest int64', '1080808080808080808001', { kind: 'int64', value: -(2n ** 63n) }],
    ['the highest int64', '10ffffffffffffffff7f', { kind: 'int64', value: 2n ** 63n - 1n }],
    ['2^32', '108080808010', { kind: 'int64', value: 2n ** 32n }],
    ['a text', '1a026869', { kind: 'string', value: 'hi' }],
    ['an empty text, which is present', '1a00', { kind: 'string', value: '' }],
    ['a double', '21000000000000f03f', { kind: 'double', value: 1 }],
    ['-0', '210000000000000080', { kind: 'double', value: -0 }],
    ['NaN', '21000000000000f87f', { kind: 'double', value: Number.NaN }],
    ['the highest uint64', '28ffffffffffffffffff01', { kind: 'uint64', value: 2n ** 64n - 1n }],
    ['no kind', '', { kind: 'none' }],
    ['only an unknown kind', '3001', { kind: 'none' }],
    ['two kinds, of which the last counts', '0801 1a0161', { kind: 'string', value: 'a' }],
    ['one kind twice, of which the last counts', '1001 1002', { kind: 'int64', value: 2n }],
  ])('%s', (_name, value, expected) => {
    expect(decode(`0a016b ${nest(2, value)}`)).toEqual([['k', expected]]);
  });

  test('a key without a value has none, a value without a key has the empty one', () => {
    expect(decode('0a016b', nest(2, '0801'))).toEqual([
      ['k', { kind: 'none' }],
      ['', { kind: 'bool', value: true }],
    ]);
  });

  test('a second value is merged into the first', () => {
    expect(decode(`${nest(2, '1001')} 1200 0a016b`)).toEqual([['k', { kind: 'int64', value: 1n }]]);
    expect(decode(`${nest(2, '1001')} ${nest(2, '0800')} 0a016b`)).toEqual([['k', { kind: 'bool', value: false }]]);
  });
});

test('the last of equal keys counts', () => {
  expect(decode(`0a016b ${nest(2, '1001')}`, `0a016b ${nest(2, '1002')}`)).toEqual([
    ['k', { kind: 'int64', value: 2n }],
  ]);
});

test('names of the prototype are keys like any other', () => {
  const keys = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const entries = keys.map((key) => `${nest(1, Buffer.from(key).toString('hex'))} ${nest(2, '0801')}`);
  expect(decode(...entries)).toEqual(keys.map((key) => [key, { kind: 'bool', value: true }]));
  expect(Object.prototype).not.toHaveProperty('kind');
});

test('every kind survives being encoded, default values too', () => {
  const parameters = new Map<string, InferParameter>([
    ['a', { kind: 'bool', value: false }],
    ['b', { kind: 'int64', value: -(2n ** 63n) }],
    ['c', { kind: 'string', value: '' }],
    ['d', { kind: 'double', value: 0 }],
    ['e', { kind: 'uint64', value: 2n ** 64n - 1n }],
    ['f', { kind: 'none' }],
    ['', { kind: 'string', value: 'é'.repeat(100) }],
    ['__proto__', { kind: 'int64', value: 0n }],
  ]);
  const request: InferRequest = {
    modelName: '',
    modelVersion: '',
    id: '',
    parameters,
    inputs: [],
    outputs: [{ name: '', parameters }],
    rawInputContents: [],
  };
  expect(decodeInferRequest(Buffer.concat(encodeInferRequest(request)), DEFAULT_WIRE_LIMITS)).toEqual(request);
});
