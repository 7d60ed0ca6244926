import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { parseExactJson } from '../../src/wire/exact-json.ts';
import { JsonSpan } from '../../src/wire/json-bytes.ts';
import { jsonToRaw, rawToJson } from '../../src/wire/json-tensor.ts';
import { JsonTensorReader } from '../../src/wire/json-tensor-reader.ts';
import { JsonTensorWriter, MIN_STEP_BYTES } from '../../src/wire/json-tensor-writer.ts';
import { DATATYPE_BYTES, type Datatype } from '../../src/wire/tensor.ts';

/** The elements as JSON, in brackets, written into buffers of `size` bytes. */
function write(datatype: Datatype, raw: Uint8Array, elements: number, size = 64 * 1024): string {
  const writer = new JsonTensorWriter(datatype, raw, elements);
  const parts: Buffer[] = [];
  while (!writer.isDone) {
    const target = Buffer.alloc(size);
    const end = writer.write(target, 0);
    expect(end).toBeGreaterThan(0);
    expect(end).toBeLessThanOrEqual(size);
    parts.push(target.subarray(0, end));
  }
  return `[${Buffer.concat(parts)}]`;
}

const size = fc.integer({ min: MIN_STEP_BYTES, max: 4 * MIN_STEP_BYTES });
const FIXED = Object.entries(DATATYPE_BYTES).filter(([, bytes]) => bytes !== undefined) as [Datatype, number][];

describe('elements written as JSON', () => {
  test.each(FIXED)('with datatype %s are the same bytes for buffers of any size', (datatype, bytes) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: bytes, maxLength: bytes * 40 }), size, (data, room) => {
        const raw = data.subarray(0, data.length - (data.length % bytes));
        const elements = raw.length / bytes;
        const values = rawToJson(datatype, raw, elements);
        const finite = values.every((value) => typeof value !== 'number' || Number.isFinite(value));
        const text = write(datatype, raw, elements, room);
        if (finite) expect(parseExactJson(text)).toEqual(parseExactJson(`[${values.map(textOf)}]`));
        else expect(text).toBe(`[${values.map(textOf)}]`);
      }),
      { numRuns: 500 },
    );
  });

  test.each(FIXED)('from %s come back bit for bit', (datatype, bytes) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: bytes, maxLength: bytes * 40 }), (data) => {
        const raw = canonical(datatype, data.slice(0, data.length - (data.length % bytes)));
        const elements = raw.length / bytes;
        const json = Buffer.from(write(datatype, raw, elements));
        const reader = new JsonTensorReader(json, new JsonSpan(0, json.length), datatype, [elements]);
        while (!reader.advance(64 * 1024));
        expect(Buffer.from(reader.raw)).toEqual(Buffer.from(raw));
      }),
      { numRuns: 500 },
    );
  });

  test('from FP32 have the fewest digits that mean no other number', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const raw = new Uint8Array(Float32Array.of(value).buffer);
        const text = write('FP32', raw, 1).slice(1, -1);
        expect(Math.fround(Number(text))).toBe(value);
        // Up to six digits are all different.
        for (let fewer = 6; fewer < significantDigits(text); fewer += 1) {
          expect(Math.fround(Number(value.toPrecision(fewer)))).not.toBe(value);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test.each<[datatype: Datatype, values: readonly number[], json: string]>([
    [
      'FP32',
      [0.1, 1, -0, 0, 1e6, 16_777_216, 1e21, 1.5e-7, -2.5e-6],
      '[0.1,1,-0.0,0,1000000,16777216,1e+21,1.5e-7,-0.0000025]',
    ],
    ['FP32', [3.4028234663852886e38, 1.401298464324817e-45], '[3.4028235e+38,1.4013e-45]'],
    ['FP32', [Number.NaN, Infinity, -Infinity], '[NaN,Infinity,-Infinity]'],
    ['FP64', [0.1, 1 / 3, -0, Number.NaN, -Infinity, 5e-324], '[0.1,0.3333333333333333,-0.0,NaN,-Infinity,5e-324]'],
    ['FP16', [Number.NaN, Infinity, 0.5], '[NaN,Infinity,0.5]'],
    ['INT8', [-128, 127, 0], '[-128,127,0]'],
    ['UINT32', [4_294_967_295, 2_147_483_648], '[4294967295,2147483648]'],
  ])('%s %s are %s', (datatype, values, json) => {
    expect(write(datatype, jsonToRaw(datatype, values), values.length)).toBe(json);
  });

  test('from 64 bits are exact', () => {
    const values = [2n ** 63n - 1n, -(2n ** 63n), 9_007_199_254_740_993n, -9_007_199_254_740_993n, -1n, 0n];
    expect(write('INT64', jsonToRaw('INT64', values), 6)).toBe(`[${values}]`);
    const unsigned = [2n ** 64n - 1n, 2n ** 53n, 4_294_967_296n];
    expect(write('UINT64', jsonToRaw('UINT64', unsigned), 3)).toBe(`[${unsigned}]`);
  });

  test('from BYTES, into buffers of any size, are strings that JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), size, (texts, room) => {
        const wellFormed = texts.map((text) => text.toWellFormed());
        const raw = jsonToRaw('BYTES', texts);
        expect(JSON.parse(write('BYTES', raw, texts.length, room))).toEqual(wellFormed);
      }),
      { numRuns: 1_000 },
    );
  });

  test('from BYTES are escaped as JSON.stringify does it', () => {
    const texts = [String.fromCharCode(...Array(0x80).keys()), '\uFEFFé\u2028😀', '', '"\\'];
    expect(write('BYTES', jsonToRaw('BYTES', texts), texts.length)).toBe(JSON.stringify(texts));
  });

  test('from BYTES that are no UTF-8 have replacement characters', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), (elements) => {
        const texts = elements.map((bytes) => Buffer.from(bytes).toString('utf8'));
        expect(JSON.parse(write('BYTES', encodeBytesTensor(elements), elements.length))).toEqual(texts);
      }),
    );
  });

  test('from a large tensor take less than 100 ms of CPU time for 150,528 floats', () => {
    const count = 150_528;
    const raw = new Uint8Array(Float32Array.from({ length: count }, (_, index) => Math.sin(index)).buffer);
    const target = Buffer.alloc(count * MIN_STEP_BYTES);
    const work = (): number => new JsonTensorWriter('FP32', raw, count).write(target, 0);
    work();
    const begun = process.cpuUsage();
    for (let time = 0; time < 5; time += 1) work();
    const { user, system } = process.cpuUsage(begun);
    // Some 13 ms.
    expect((user + system) / 5_000).toBeLessThan(100);
  });
});

function textOf(value: unknown): string {
  return Object.is(value, -0) ? '-0.0' : String(value);
}

function significantDigits(text: string): number {
  return text.replace(/e.*$/, '').replace(/[-.]/g, '').replace(/^0+/, '').replace(/0+$/, '').length;
}

/** With the one NaN and the one `true` that JSON has. */
function canonical(datatype: Datatype, raw: Uint8Array): Uint8Array {
  if (datatype === 'BOOL') return raw.map((byte) => Number(byte !== 0));
  const size = DATATYPE_BYTES[datatype] ?? 1;
  const values = rawToJson(datatype, raw, raw.length / size);
  for (const [index, value] of values.entries()) {
    if (Number.isNaN(value)) raw.set(jsonToRaw(datatype, [Number.NaN]), index * size);
  }
  return raw;
}
