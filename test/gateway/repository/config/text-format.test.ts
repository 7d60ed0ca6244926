import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeProblem } from '../../../../src/gateway/repository/config/located.ts';
import { parseTextFormat } from '../../../../src/gateway/repository/config/text-format.ts';
import type { Field, FieldType, MessageType } from '../../../../src/gateway/repository/config/text-format-type.ts';

const COLOUR = { values: ['RED', 'GREEN', 'BLUE'] };
const INNER: MessageType = {
  fields: { size: singular('int32'), sizes: { type: 'int64', label: 'repeated' } },
  oneofs: [],
};
const EVERYTHING: MessageType = {
  fields: {
    flag: singular('bool'),
    text: singular('string'),
    i32: singular('int32'),
    u32: singular('uint32'),
    i64: singular('int64'),
    u64: singular('uint64'),
    real: singular('double'),
    colour: singular(COLOUR),
    inner: singular(INNER),
    other: singular(INNER),
    texts: { type: 'string', label: 'repeated' },
    reals: { type: 'float', label: 'repeated' },
    colours: { type: COLOUR, label: 'repeated' },
    inners: { type: INNER, label: 'repeated' },
    tags: { type: 'string', label: 'map', keyType: 'string' },
    levels: { type: INNER, label: 'map', keyType: 'uint64' },
  },
  oneofs: [['inner', 'other']],
};

function singular(type: FieldType): Field {
  return { type, label: 'singular' };
}

function read(text: string): unknown {
  const parsed = parseTextFormat(text, EVERYTHING);
  if (parsed.kind === 'document') return parsed.document.content;
  throw new Error(parsed.problems.map((problem) => describeProblem('f', problem)).join('\n'));
}

function problemsOf(text: string): string[] {
  const parsed = parseTextFormat(text, EVERYTHING);
  return parsed.kind === 'problems' ? parsed.problems.map((problem) => describeProblem('f', problem)) : [];
}

describe('one meaning in all its spellings', () => {
  test.each([
    { text: '', value: {} },
    { text: '# nothing\n  # at all', value: {} },
    { text: 'flag: true i32: 5', value: { flag: true, i32: 5 } },
    { text: 'flag: t, i32: 0x1F; i64: -017', value: { flag: true, i32: 31, i64: -15 } },
    { text: 'flag: 0\n#x\ni32 :5#y', value: { flag: false, i32: 5 } },
    { text: 'inner { size: 1 }', value: { inner: { size: 1 } } },
    { text: 'inner: { size: 1 }', value: { inner: { size: 1 } } },
    { text: 'inner < size: 1 >', value: { inner: { size: 1 } } },
    { text: 'inner {}', value: { inner: {} } },
    { text: 'inners { } inners: <size: 2>', value: { inners: [{}, { size: 2 }] } },
    { text: 'inners [ { size: 1 }, <size: 2> ]', value: { inners: [{ size: 1 }, { size: 2 }] } },
    { text: 'texts: "a" texts: [ "b", \'c\' ] texts: []', value: { texts: ['a', 'b', 'c'] } },
    { text: 'inner { sizes: [1, -2] sizes: 3 }', value: { inner: { sizes: [1, -2, 3] } } },
    { text: 'colour: GREEN colours: [RED, 2]', value: { colour: 'GREEN', colours: ['RED', 'BLUE'] } },
    {
      text: 'real: 1 reals: [1.5, .5, 1., 1e3, -2.5f, inf, -Infinity]',
      value: { real: 1, reals: [1.5, 0.5, 1, 1000, -2.5, Infinity, -Infinity] },
    },
    { text: `text: "a" 'b'\n"c"`, value: { text: 'abc' } },
    { text: `text: "it's" `, value: { text: "it's" } },
    { text: String.raw`text: "\n\t\\\"\'\x41\101\u00e9\U0001F600"`, value: { text: '\n\t\\"\'AAé😀' } },
    { text: String.raw`text: "\x4" "1" '\10' "1"`, value: { text: '\x041\x081' } },
    { text: String.raw`text: "\303" "\251"`, value: { text: 'é' } },
    { text: String.raw`text: "\xc3" "\xa9"`, value: { text: 'é' } },
    { text: 'text: "# no comment"', value: { text: '# no comment' } },
    { text: 'tags { key: "a" value: "1" } tags: { value: "2", key: "b" }', value: { tags: { a: '1', b: '2' } } },
    { text: 'tags: [ { key: "a" }, { value: "x" } ]', value: { tags: { a: '', '': 'x' } } },
    { text: 'levels { key: 2 value { size: 1 } } levels { key: 1 }', value: { levels: { 1: {}, 2: { size: 1 } } } },
    { text: 'i32: 2147483647 u64: 9007199254740991', value: { i32: 2147483647, u64: 9007199254740991 } },
    {
      text: 'i64: -9007199254740993 u64: 18446744073709551615',
      value: { i64: '-9007199254740993', u64: '18446744073709551615' },
    },
  ])('$text', ({ text, value }) => {
    expect(read(text)).toEqual(value);
  });

  test('a key such as __proto__ is a key like any other', () => {
    const { tags } = read('tags { key: "__proto__" value: "x" }') as { tags: object };
    expect(Object.entries(tags)).toEqual([['__proto__', 'x']]);
    expect(Object.getPrototypeOf(tags)).toBe(Object.prototype);
  });
});

describe('what is wrong is said with its place', () => {
  test.each([
    { text: 'flagg: true', problem: "f:1:1: flagg: there is no such field; did you mean 'flag'?" },
    { text: 'i32: 1\n  i32: 2', problem: 'f:2:3: i32 is given twice' },
    { text: 'inner {} other {}', problem: 'f:1:10: other and inner exclude each other: keep one' },
    { text: 'flag: yes', problem: 'f:1:7: flag: expected true or false, got yes' },
    { text: 'i32: 1.5', problem: 'f:1:6: i32: expected a whole number of 32 bits, got 1.5' },
    { text: 'i32: 2147483648', problem: 'f:1:6: i32: expected a whole number of 32 bits, got 2147483648' },
    { text: 'u32: -1', problem: 'f:1:6: u32: expected a whole number from 0 of 32 bits, got -1' },
    {
      text: 'i64: 9223372036854775808',
      problem: 'f:1:6: i64: expected a whole number of 64 bits, got 9223372036854775808',
    },
    { text: 'i32: "5"', problem: `f:1:6: expected a whole number of 32 bits for i32, got '"5"'` },
    { text: 'text: GREEN', problem: "f:1:7: expected a text in quotes for text, got 'GREEN'" },
    { text: 'colour: GREN', problem: "f:1:9: colour: there is no GREN; did you mean 'GREEN'?" },
    { text: 'colour: 3', problem: 'f:1:9: colour: there is no 3' },
    { text: 'flag true', problem: "f:1:6: expected ':' after flag, got 'true'" },
    { text: 'inner: 5', problem: "f:1:8: expected '{' after inner, got '5'" },
    { text: 'inner {\n size: 1', problem: "f:2:9: expected a field or '}', got the end" },
    { text: 'inner { size: 1 >', problem: "f:1:17: expected the name of a field, got '>'" },
    { text: 'inner { sizes: [1 2] }', problem: "f:1:19: expected ',' or ']' in the list of sizes, got '2'" },
    { text: 'inner { sizes: [1,] }', problem: "f:1:19: expected a whole number of 64 bits for sizes, got ']'" },
    { text: 'text: "a\nb"', problem: 'f:1:7: the text that begins here has no closing " on its line' },
    { text: String.raw`text: "\q"`, problem: String.raw`f:1:7: text: there is no escape \q` },
    { text: String.raw`text: "\xff"`, problem: 'f:1:7: text: the text is not valid UTF-8' },
    { text: String.raw`text: "\ud800"`, problem: String.raw`f:1:7: text: \ud800 is no character` },
    { text: 'i32: 5x', problem: "f:1:6: '5x' begins like a number and is none" },
    { text: 'i32: 08', problem: 'f:1:6: i32: expected a whole number of 32 bits, got 08' },
    { text: 'i32: $', problem: 'f:1:6: unexpected character "$"' },
    { text: '[ext.name]: 1', problem: "f:1:1: expected the name of a field, got '['" },
    { text: 'tags { key: "a" } tags { key: "a" }', problem: "f:1:24: tags has the key 'a' twice" },
    { text: `${'other_thing { '.repeat(40)}`, problem: 'f:1:461: more than 32 levels' },
  ])('$text', ({ text, problem }) => {
    expect(
      problemsOf(text)
        .at(-1)
        ?.replace(/; known are .*$/, ''),
    ).toBe(problem);
  });

  test('several problems are reported at once, also behind a field that is not known', () => {
    const text = 'unknown { a: [1, { b: "x" }] c < d: -5 > }\ni32: 1.5\ncolour: GREY';
    expect(problemsOf(text).map((problem) => problem.split(':').slice(0, 4).join(':'))).toEqual([
      'f:1:1: unknown',
      'f:2:6: i32',
      'f:3:9: colour',
    ]);
  });

  test('a text that is too long is not read', () => {
    expect(problemsOf(' '.repeat(1024 * 1024 + 1))).toEqual([
      'f:1:1: the text has 1048577 characters; at most 1048576 are read',
    ]);
  });
});

describe('a value knows where it is', () => {
  const text = 'i32: 5\ninner {\n  sizes: [1,\n    2]\n}\ntags { key: "a" value: "b" }';

  test.each([
    { path: ['i32'], line: 1, column: 6 },
    { path: ['inner'], line: 2, column: 1 },
    { path: ['inner', 'sizes', 1], line: 4, column: 5 },
    { path: ['tags', 'a'], line: 6, column: 6 },
    { path: ['inner', 'absent', 'deeper'], line: 2, column: 1 },
    { path: ['absent'], line: 1, column: 1 },
  ])('$path', ({ path, line, column }) => {
    const parsed = parseTextFormat(text, EVERYTHING);
    expect(parsed.kind === 'document' && parsed.document.locate(path)).toEqual({ line, column });
  });
});

/** A value of a message, with the spelling of each part left to chance. */
function arbitraryMessage({ fields, oneofs }: MessageType): fc.Arbitrary<Record<string, unknown>> {
  const arbitraries = Object.entries(fields).map(
    ([name, { type, label, keyType }]): [string, fc.Arbitrary<unknown>] => {
      if (label === 'repeated') return [name, fc.array(arbitraryValue(type), { maxLength: 3, minLength: 1 })];
      if (label === 'singular') return [name, arbitraryValue(type)];
      const key = keyType === 'string' ? fc.string({ unit: 'grapheme', maxLength: 5 }) : fc.nat().map(String);
      return [name, fc.dictionary(key, arbitraryValue(type), { minKeys: 1, maxKeys: 3, noNullPrototype: true })];
    },
  );
  return fc.record(Object.fromEntries(arbitraries), { requiredKeys: [] }).map((value) => {
    const chosen = { ...value };
    for (const names of oneofs) for (const name of names.filter((one) => one in chosen).slice(1)) delete chosen[name];
    return chosen;
  });
}

function arbitraryValue(type: FieldType): fc.Arbitrary<unknown> {
  if (typeof type === 'object') return 'values' in type ? fc.constantFrom(...type.values) : arbitraryMessage(type);
  switch (type) {
    case 'bool':
      return fc.boolean();
    case 'string':
      return fc.string({ unit: 'grapheme', maxLength: 12 });
    case 'float':
    case 'double':
      return fc.double({ noNaN: true }).map((value) => value + 0);
    case 'int32':
      return fc.integer();
    case 'uint32':
      return fc.integer({ min: 0, max: 2 ** 32 - 1 });
    case 'int64':
      return fc.maxSafeInteger();
    case 'uint64':
      return fc.maxSafeNat();
  }
}

/** Writes a message in one of the many ways that mean the same. `chance` says which. */
function print(value: Readonly<Record<string, unknown>>, type: MessageType, chance: () => number): string {
  const pick = <T>(...choices: readonly T[]): T => choices[Math.floor(chance() * choices.length)] as T;
  const space = (): string => pick(' ', '\n', '\t ', ' # remark "{\n', '  ');
  const block = (content: unknown, inner: MessageType): string => {
    const [open, close] = pick(['{', '}'], ['<', '>']);
    return `${open}${space()}${print(content as Record<string, unknown>, inner, chance)}${space()}${close}`;
  };
  const quoted = (text: string): string => {
    const quote = pick('"', "'");
    const escaped = [...text].map((character) => {
      const code = character.codePointAt(0) ?? 0;
      if (character === '\\' || character === quote) return `\\${character}`;
      if (code === 0x0a) return pick('\\n', '\\x0a', '\\012');
      if (code < 0x20) return `\\${code.toString(8).padStart(3, '0')}`;
      return code < 0x10000 && !(code >= 0xd800 && code < 0xe000) && chance() < 0.2
        ? `\\u${code.toString(16).padStart(4, '0')}`
        : character;
    });
    const cut = Math.floor(chance() * (escaped.length + 1));
    const [head, tail] = [escaped.slice(0, cut).join(''), escaped.slice(cut).join('')];
    return chance() < 0.5
      ? `${quote}${head}${tail}${quote}`
      : `${quote}${head}${quote}${space()}${quote}${tail}${quote}`;
  };
  const one = (item: unknown, of: FieldType): string => {
    if (typeof of === 'object') {
      if ('fields' in of) return block(item, of);
      return pick(String(item), String(of.values.indexOf(String(item))));
    }
    if (of === 'string') return quoted(String(item));
    if (of === 'bool') return item === true ? pick('true', 't', '1', 'True') : pick('false', 'f', '0', 'False');
    if (item === Number.POSITIVE_INFINITY) return 'inf';
    if (item === Number.NEGATIVE_INFINITY) return '- inf';
    const number = Number(item);
    if (Number.isInteger(number) && number > 0 && of !== 'float' && of !== 'double') {
      return pick(String(number), `0x${number.toString(16)}`, `0${number.toString(8)}`);
    }
    return String(item);
  };
  const parts: string[] = [];
  for (const [name, content] of Object.entries(value)) {
    const field = type.fields[name];
    if (field === undefined) throw new Error(`no field ${name}`);
    const isBlock = field.label === 'map' || (typeof field.type === 'object' && 'fields' in field.type);
    const mark = isBlock ? pick('', ':') : ':';
    const items =
      field.label === 'map'
        ? Object.entries(content as object).map(([key, entry]) => {
            const entryType: MessageType = {
              fields: { key: singular(field.keyType ?? 'string'), value: singular(field.type) },
              oneofs: [],
            };
            return block({ key: field.keyType === 'string' ? key : Number(key), value: entry }, entryType);
          })
        : (field.label === 'repeated' ? (content as unknown[]) : [content]).map((item) => one(item, field.type));
    if (field.label !== 'singular' && chance() < 0.5) {
      parts.push(`${name}${space()}${mark}${space()}[${items.join(`${space()},${space()}`)}]`);
    } else {
      for (const item of items) parts.push(`${name}${mark}${space()}${item}`);
    }
  }
  return parts.map((part) => `${part}${pick(' ', '\n', ', ', ' ;', ' #x\n')}`).join('');
}

const messages = arbitraryMessage(EVERYTHING);
const chances = fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }));

describe('properties', () => {
  test('whatever is printed, in whatever spelling, is read as what it was', () => {
    fc.assert(
      fc.property(messages, chances, (value, stream) => {
        const text = print(value, EVERYTHING, () => stream.next().value ?? 0);
        expect(read(text)).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  test('a text that was cut, joined or scrambled is read or refused with a place in it, and never throws', () => {
    const scraps = fc.constantFrom(
      '{',
      '}',
      '<',
      '>',
      '[',
      ']',
      ':',
      ',',
      '"',
      "'",
      '\\',
      '#',
      '-',
      '0x',
      'key',
      '\u0000',
      '1e',
      '😀',
    );
    fc.assert(
      fc.property(
        messages,
        chances,
        fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), scraps, fc.nat({ max: 8 })), { maxLength: 6 }),
        (value, stream, wounds) => {
          let text = print(value, EVERYTHING, () => stream.next().value ?? 0);
          for (const [where, scrap, removed] of wounds) {
            const at = Math.floor(where * text.length);
            text = text.slice(0, at) + scrap + text.slice(at + removed);
          }
          const parsed = parseTextFormat(text, EVERYTHING);
          if (parsed.kind === 'document') return;
          const lines = text.split('\n');
          expect(parsed.problems.length).toBeGreaterThan(0);
          for (const { line, column, message } of parsed.problems) {
            expect(message).not.toBe('');
            expect(line).toBeLessThanOrEqual(lines.length);
            expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test.each([
    { name: 'brackets', text: 'inner {'.repeat(100_000) },
    { name: 'unknown brackets', text: 'x ['.repeat(100_000) },
    { name: 'a long name', text: 'x'.repeat(1_000_000) },
    { name: 'entries of a map', text: Array.from({ length: 30_000 }, (_, key) => `levels { key: ${key} }`).join('\n') },
    { name: 'unknown fields', text: 'x: 1 '.repeat(100_000) },
    { name: 'pieces of a text', text: `text: ${'"a" '.repeat(200_000)}` },
    { name: 'minus signs', text: `i32: ${'-'.repeat(500_000)}` },
  ])('a hostile text costs no more than its length: $name', { timeout: 20_000 }, ({ text }) => {
    expect(['document', 'problems']).toContain(parseTextFormat(text, EVERYTHING).kind);
  });
});
