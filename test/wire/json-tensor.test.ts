import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonTensorError, jsonToRaw, rawToJson } from '../../src/wire/json-tensor.ts';
import { DATATYPE_BYTES, type Datatype } from '../../src/wire/tensor.ts';

const FIXED = Object.entries(DATATYPE_BYTES).filter(([, size]) => size !== undefined) as [Datatype, number][];

/** NaN and the infinities are none. */
const isJsonNumber = (value: unknown): boolean => typeof value !== 'number' || Number.isFinite(value);

describe('raw contents', () => {
  test.each(FIXED)('for %s come back from their JSON, bit for bit', (datatype, size) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size * 20 }), (bytes) => {
        const raw = bytes.subarray(0, bytes.length - (bytes.length % size));
        const canonical = datatype === 'BOOL' ? raw.map((byte) => Number(byte !== 0)) : raw;
        const values = rawToJson(datatype, canonical, canonical.length / size);
        fc.pre(values.every(isJsonNumber));
        expect(jsonToRaw(datatype, values)).toEqual(new Uint8Array(canonical));
      }),
    );
  });

  test('for BYTES come back from their JSON', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), (texts) => {
        expect(rawToJson('BYTES', jsonToRaw('BYTES', texts), texts.length)).toEqual(texts);
      }),
    );
  });
});

test.each([
  ['UINT8', 256, 'element 0 is 256, which is no UINT8'],
  ['UINT8', -1, 'element 0 is -1, which is no UINT8'],
  ['INT8', 1.5, 'element 0 is 1.5, which is no INT8'],
  ['INT32', 2 ** 31, 'element 0 is 2147483648, which is no INT32'],
  ['INT64', 1.5, 'element 0 is 1.5, expected an integer'],
  ['UINT64', -1n, 'element 0 is -1, which is no UINT64'],
  ['INT64', 2n ** 63n, 'element 0 is 9223372036854775808, which is no INT64'],
  ['FP32', '1', 'element 0 is "1", expected a number'],
  ['FP32', null, 'element 0 is null, expected a number'],
  ['BOOL', 1, 'element 0 is 1, expected a boolean'],
  ['BYTES', 1, 'element 0 is 1, expected a string'],
  ['FP64', 'x'.repeat(1_000), `element 0 is "${'x'.repeat(49)}, expected a number`],
] as const)('%s refuses %s, and says why', (datatype, value, text) => {
  expect(() => jsonToRaw(datatype, [value])).toThrow(new JsonTensorError(text));
});
