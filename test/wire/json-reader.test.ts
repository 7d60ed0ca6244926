import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonError, JsonSpan } from '../../src/wire/json-bytes.ts';
import { type JsonLimits, JsonReader } from '../../src/wire/json-reader.ts';

function parse(text: string | Uint8Array, limits?: JsonLimits): unknown {
  const reader = new JsonReader(Buffer.from(text as string), limits);
  const value = reader.value();
  reader.end();
  return value;
}

/** As JSON.parse makes them: objects have a prototype there, and integers are numbers. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

/** The value, or that there is none. */
function outcome(read: () => unknown): unknown {
  try {
    return { value: read() };
  } catch {
    return 'no JSON';
  }
}

const blank = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
/** Values in every form that JSON allows: with blanks, and with escapes where none are needed. */
const document = fc
  .tuple(fc.json({ stringUnit: 'binary' }), blank, fc.option(fc.nat(3)))
  .map(([text, space, indent]) => {
    const spaced = indent === null ? text : JSON.stringify(JSON.parse(text), undefined, indent);
    return space + spaced + space;
  });

describe('a reader of JSON', () => {
  test('reads the same values as JSON.parse', () => {
    fc.assert(
      fc.property(document, (text) => {
        expect(plain(parse(text))).toEqual(JSON.parse(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test('refuses a text that is cut or changed where JSON.parse does', () => {
    const change = fc.tuple(
      document,
      fc.nat(),
      fc.constantFrom('', ',', '"', '}', ']', ':', '1', '\\', ' ', '{', '\t'),
    );
    fc.assert(
      fc.property(change, fc.boolean(), ([text, at, piece], isCut) => {
        const index = at % (text.length + 1);
        const changed = text.slice(0, index) + piece + (isCut ? '' : text.slice(index + 1));
        // Half of a pair of surrogates is no UTF-8.
        fc.pre(changed.isWellFormed());
        expect(outcome(() => plain(parse(changed)))).toEqual(outcome(() => JSON.parse(changed)));
      }),
      { numRuns: 5_000 },
    );
  });

  test('keeps keys that objects of JavaScript have anyway', () => {
    const record = parse('{"__proto__": 1, "constructor": 2, "toString": 3}') as Record<string, unknown>;
    expect(Object.entries(record)).toEqual([
      ['__proto__', 1],
      ['constructor', 2],
      ['toString', 3],
    ]);
    expect(Object.keys(parse('{}') as object)).toEqual([]);
    expect((parse('{}') as Record<string, unknown>)['constructor']).toBeUndefined();
  });

  test('keeps integers exact that no number holds, and reads NaN and infinities', () => {
    expect(parse('[9007199254740993, 9007199254740992, 1e30, -0.0, NaN, -Infinity]')).toEqual([
      9_007_199_254_740_993n,
      9_007_199_254_740_992n,
      1e30,
      -0,
      Number.NaN,
      -Infinity,
    ]);
  });

  test('tolerates a byte order mark', () => {
    expect(parse('\uFEFF{"a": 1}')).toEqual(Object.assign(Object.create(null), { a: 1 }));
  });

  test.each([
    ['{nope}', 'nope at byte 1, expected a key in double quotes'],
    ['{"a" 1}', "1 at byte 5, expected ':'"],
    ['{"a": 1 "b": 2}', `"b" at byte 8, expected ',' or '}'`],
    ['[1 2]', "2 at byte 3, expected ',' or ']'"],
    ['[1', "the end at byte 2, expected ',' or ']'"],
    ['"a', `the end at byte 2, expected '"'`],
    ['{} x', 'x at byte 3, expected the end'],
    ['', 'the end at byte 0, expected a value'],
    ['"\\x"', '"\\x" at byte 0, expected a string of UTF-8'],
  ])('says of %s what is wrong, and where', (text, message) => {
    expect(() => parse(text)).toThrow(JsonError);
    expect(() => parse(text)).toThrow(message);
  });

  test('refuses bytes that are no UTF-8', () => {
    expect(() => parse(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(/string of UTF-8/);
  });

  test('refuses a document that is deeper, longer or larger than allowed, before it is made', () => {
    expect(() => parse('['.repeat(100_000))).toThrow(/more than 64 nested values/);
    expect(() => parse(`[${'1,'.repeat(100)}1]`, { maxBytes: 1_000, maxValues: 100 })).toThrow(/more than 100 values/);
    const atOnce = { maxBytes: 1_000, maxValues: 1_000, maxValuesAtOnce: 100 };
    expect(() => parse(`[${'1,'.repeat(100)}1]`, atOnce)).toThrow(/more than 100 values in one/);
    const limits = { maxBytes: 100, maxValues: 1_000 };
    expect(() => parse(`[${'1,'.repeat(100)}1]`, limits)).toThrow(/more than 100 bytes/);
    expect(() => parse(`"${'a'.repeat(100)}"`, limits)).toThrow(/more than 100 bytes/);
    expect(() => parse(`[${' '.repeat(100)}]`, limits)).toThrow(/more than 100 bytes/);
  });
});

describe('an array that is skipped', () => {
  const anything = fc.array(fc.jsonValue({ stringUnit: 'binary' }));
  const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 30 });
  const rows = fc.array(numbers, { maxLength: 4 });

  test('is found whole, however it is cut into steps, and counts for no limit', () => {
    fc.assert(
      fc.property(fc.oneof(anything, numbers, rows), fc.integer({ min: 1, max: 40 }), (array, step) => {
        const text = JSON.stringify(array);
        const bytes = Buffer.from(`{"data": ${text} , "b": 1}`);
        const reader = new JsonReader(bytes, { maxBytes: 20, maxValues: 3 });
        const found: unknown[] = [];
        for (const key of reader.keys()) {
          let span = key === 'data' ? reader.skip(step) : reader.value();
          while (span === undefined) span = reader.skip(step);
          found.push(span instanceof JsonSpan ? bytes.toString('utf8', span.start, span.end) : span);
        }
        reader.end();
        expect(found).toEqual([text, 1]);
      }),
    );
  });

  test.each(['[1', '["]', '["\\"]', '[[]'])('is refused where it has no end: %s', (text) => {
    expect(() => new JsonReader(Buffer.from(text)).skip(100)).toThrow(/the end at byte/);
  });
});
