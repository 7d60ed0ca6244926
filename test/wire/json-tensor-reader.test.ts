import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonSpan } from '../../src/wire/json-bytes.ts';
import { jsonToRaw } from '../../src/wire/json-tensor.ts';
import { JsonTensorReader } from '../../src/wire/json-tensor-reader.ts';
import { DATATYPE_BYTES, type Datatype, type Shape } from '../../src/wire/tensor.ts';
import { output } from '../support/run-program.ts';

/** Reads `text` with something before and behind it, in steps of `step` bytes. */
function read(text: string, datatype: Datatype, shape: Shape, step = Number.MAX_SAFE_INTEGER): Uint8Array {
  const bytes = Buffer.from(`{"é":${text}}]"9`);
  const span = new JsonSpan(6, 6 + Buffer.byteLength(text));
  const reader = new JsonTensorReader(bytes, span, datatype, shape);
  while (!reader.advance(step));
  return reader.raw;
}

const integers = (bits: number, isSigned: boolean): fc.Arbitrary<number> =>
  isSigned
    ? fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
    : fc.integer({ min: 0, max: 2 ** bits - 1 });
const doubles = fc.double({ noNaN: true, noDefaultInfinity: true });

const ELEMENTS: Readonly<Record<Datatype, fc.Arbitrary<unknown>>> = {
  BOOL: fc.boolean(),
  UINT8: integers(8, false),
  UINT16: integers(16, false),
  UINT32: integers(32, false),
  UINT64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  INT8: integers(8, true),
  INT16: integers(16, true),
  INT32: integers(32, true),
  INT64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  FP16: doubles,
  BF16: doubles,
  FP32: doubles,
  FP64: doubles,
  BYTES: fc.string({ unit: 'binary' }),
};

/** As JSON has it: every digit of an integer, and the sign of a zero. */
function textOf(value: unknown): string {
  if (typeof value === 'bigint') return String(value);
  return Object.is(value, -0) ? '-0' : JSON.stringify(value);
}

const step = fc.integer({ min: 1, max: 30 });

/** The elements, flat or in nested arrays, with blanks: `bounds` says where arrays begin and end. */
function nested(texts: readonly string[], bounds: readonly number[], blanks: readonly string[]): string {
  const blank = (index: number): string => blanks[index % blanks.length] ?? '';
  const groups: string[] = [];
  let at = 0;
  for (let index = 0; at < texts.length; index += 1) {
    const size = 1 + ((bounds[index % bounds.length] ?? 0) % 3);
    const group = texts.slice(at, at + size).join(`${blank(index)},${blank(index + 1)}`);
    groups.push(size === 1 ? group : `[${blank(index)}${group}${blank(index + 2)}]`);
    at += size;
  }
  return `[${blank(0)}${groups.join(',')}${blank(1)}]`;
}

describe('elements in JSON', () => {
  test.each(Object.keys(DATATYPE_BYTES) as Datatype[])(
    'with datatype %s, in any arrays and steps, are their raw form',
    (datatype) => {
      const blanks = fc.array(fc.stringMatching(/^[ \t\r\n]{0,2}$/), { minLength: 1 });
      const bounds = fc.array(fc.nat(9), { minLength: 1 });
      fc.assert(
        fc.property(
          fc.array(ELEMENTS[datatype], { maxLength: 12 }),
          bounds,
          blanks,
          step,
          (values, sizes, spaces, bytes) => {
            const texts = values.map(textOf);
            const raw = read(nested(texts, sizes, spaces), datatype, [values.length], bytes);
            expect(Buffer.from(raw)).toEqual(Buffer.from(jsonToRaw(datatype, values)));
          },
        ),
        { numRuns: 300 },
      );
    },
  );

  test('may be strings with escapes wherever JSON allows them', () => {
    const escaped = fc.array(fc.string({ unit: 'binary' })).map((texts) => {
      const spelled = (text: string): string =>
        [...Array(text.length).keys()]
          .map((index) => `\\u${text.charCodeAt(index).toString(16).padStart(4, '0')}`)
          .join('');
      return {
        texts,
        json: `[${texts.map((text, index) => (index % 2 === 0 ? `"${spelled(text)}"` : JSON.stringify(text)))}]`,
      };
    });
    fc.assert(
      fc.property(escaped, step, ({ texts, json }, bytes) => {
        expect(Buffer.from(read(json, 'BYTES', [texts.length], bytes))).toEqual(Buffer.from(jsonToRaw('BYTES', texts)));
      }),
    );
    expect(read('["\\b\\f\\n\\r\\t\\/\\\\\\"\\ud83d\\ude00"]', 'BYTES', [1]).subarray(4)).toEqual(
      new Uint8Array(Buffer.from('\b\f\n\r\t/\\"😀')),
    );
  });

  test.each([
    ['NaN', Number.NaN],
    ['-Infinity', -Infinity],
    ['Infinity', Infinity],
  ])('may be %s, for every float', (word, value) => {
    expect(new Float32Array(read(`[${word}]`, 'FP32', [1]).buffer)[0]).toBe(value);
    expect(new Float64Array(read(`[${word}]`, 'FP64', [1]).buffer)[0]).toBe(value);
    const half = { NaN: 0x7e00, '-Infinity': 0xfc00, Infinity: 0x7c00 }[word];
    expect(new Uint16Array(read(`[${word}]`, 'FP16', [1]).buffer)[0]).toBe(half);
  });

  test.each<[json: string, datatype: Datatype, text: string]>([
    ['[1,"x"]', 'FP32', 'element 1 is "x", expected a number'],
    ['[1,null]', 'FP32', 'element 1 is null, expected a number'],
    ['[1,true]', 'INT64', 'element 1 is true, expected a number'],
    ['[1,{"a":2}]', 'FP32', 'element 1 is an object, expected a number'],
    ['[1,01]', 'FP32', 'element 1 is 01, expected a number'],
    ['[1,]', 'FP32', 'element 1 is ], expected a number'],
    ['[1,,2]', 'FP32', 'element 1 is ,, expected a number'],
    ['[256,1]', 'UINT8', 'element 0 is 256, which is no UINT8'],
    ['[1,1.5]', 'INT32', 'element 1 is 1.5, which is no INT32'],
    ['[1,NaN]', 'INT32', 'element 1 is NaN, which is no INT32'],
    ['[1,NaN]', 'INT64', 'element 1 is NaN, which is no INT64'],
    ['[9223372036854775808,1]', 'INT64', 'element 0 is 9223372036854775808, which is no INT64'],
    ['[-1,1]', 'UINT64', 'element 0 is -1, which is no UINT64'],
    ['[true,1]', 'BOOL', 'element 1 is 1, expected a boolean'],
    ['[true,tru]', 'BOOL', 'element 1 is tru, expected a boolean'],
    ['["a",1]', 'BYTES', 'element 1 is 1, expected a string'],
    ['["a","\\q"]', 'BYTES', 'element 1 has an invalid escape, at byte 12'],
    ['["a","\\u12g4"]', 'BYTES', 'element 1 has an invalid escape, at byte 12'],
    ['["a","\n"]', 'BYTES', 'element 1 has a control character, at byte 12: write it as \\u00XX'],
    ['["a","\\ud800"]', 'BYTES', 'element 1 is not UTF-8: \\ud800 is half of a surrogate pair, at byte 12'],
    ['["\\udc00","a"]', 'BYTES', 'element 0 is not UTF-8: \\udc00 is half of a surrogate pair'],
    ['["\\ud800\\ud800","a"]', 'BYTES', 'element 0 is not UTF-8: \\ud800 is half of a surrogate pair'],
    ['["\\uD800x","a"]', 'BYTES', 'element 0 is not UTF-8: \\uD800 is half of a surrogate pair'],
    ['[1 2]', 'FP32', "2 follows behind element 0, at byte 9, expected ',' or ']'"],
    [`${'['.repeat(99)}1`, 'FP32', 'an array comes before element 0, at byte 70, expected at most 64 nested arrays'],
    ['[1}', 'FP32', "} follows behind element 0, at byte 8, expected ',' or ']'"],
    ['[1]', 'FP32', "Shape does not match true shape of 'data' field: [2] holds 2 elements, 'data' has 1"],
    ['[1,2,3]', 'FP32', "Shape does not match true shape of 'data' field: [2] holds 2 elements, 'data' has more"],
  ])('%s are no two elements of %s, and the error says why', (json, datatype, text) => {
    expect(() => read(json, datatype, [2])).toThrow(text);
    expect(() => read(json, datatype, [2], 1)).toThrow(text);
  });

  test('that are no UTF-8 are refused', () => {
    const bytes = Buffer.from([0x5b, 0x22, 0x61, 0xc3, 0x28, 0x22, 0x5d]);
    const reader = new JsonTensorReader(bytes, new JsonSpan(0, bytes.length), 'BYTES', [1]);
    expect(() => reader.advance(100)).toThrow('element 0 is not UTF-8, at byte 2');
  });

  test('that are fewer than the shape says take no room', () => {
    const text = `[${'1,'.repeat(50_000)}1]`;
    const before = process.memoryUsage().arrayBuffers;
    expect(() => read(text, 'FP64', [1_000_000_000])).toThrow("'data' has fewer");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
    expect(() => read('[1]', 'FP64', [1_000_000_000])).toThrow("'data' has 1");
    expect(() => read('[1]', 'FP64', [-1])).toThrow('[-1] is not a shape');
  });

  test('may be none, or lie in arrays that are empty', () => {
    expect(read('[]', 'FP32', [0])).toHaveLength(0);
    expect(read('[[],[[]]]', 'BYTES', [0, 4])).toHaveLength(0);
    expect(() => read(`${'['.repeat(100)}${']'.repeat(100)}`, 'FP32', [0])).toThrow('at most 64 nested arrays');
  });

  test('for an image, 150,528 floats, take at most 40 ms of CPU time', async () => {
    // In a process as the server is one: the modules of a test reach each other through getters, which takes several times as long.
    const ms = await output(process.execPath, ['--input-type=module', '--eval', READ_IMAGE], { cwd: ROOT });
    // From 6 to 20 ms, by the machine.
    expect(Number(ms)).toBeLessThan(40);
  });
});

const ROOT = path.join(import.meta.dirname, '../..');

const READ_IMAGE = `
  import { JsonSpan } from './src/wire/json-bytes.ts';
  import { JsonTensorReader } from './src/wire/json-tensor-reader.ts';
  const count = 150_528;
  const bytes = Buffer.from('[' + Array.from({ length: count }, (_, index) => Math.fround(Math.sin(index))) + ']');
  const read = () => new JsonTensorReader(bytes, new JsonSpan(0, bytes.length), 'FP32', [count]).advance(1e9);
  read();
  const begun = process.cpuUsage();
  for (let time = 0; time < 5; time += 1) read();
  const { user, system } = process.cpuUsage(begun);
  console.log((user + system) / 5_000);
`;
