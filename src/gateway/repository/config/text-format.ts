/**
 * Protocol Buffers' text format, read by the description of a message. What comes out is plain: numbers, texts, lists and
 * objects by the names of fields, as the JSON of the same message would be.
 * Rules: https://protobuf.dev/reference/protobuf/textformat-spec/
 *
 * P1: no text makes this throw, recurse deeper than `MAX_DEPTH`, or take time that is more than linear in its length.
 * P2: nothing is dropped: an unknown or repeated field is a problem.
 */

import { MAX_PROBLEMS, type Problem, type ReadDocument } from './located.ts';
import { suggestion } from './suggestion.ts';

export type ScalarType = 'bool' | 'string' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'float' | 'double';

/** The names of an enum's values, by their numbers. */
export interface EnumType {
  readonly values: readonly string[];
}

export interface MessageType {
  readonly fields: Readonly<Record<string, Field>>;
  /** Fields that a message may have at most once. */
  readonly oneofs: readonly (readonly string[])[];
}

export type FieldType = ScalarType | EnumType | MessageType;

export interface Field {
  readonly type: FieldType;
  /** `map`: an object by keys, which are written as entries `{ key: … value: … }`. */
  readonly label: 'singular' | 'repeated' | 'map';
  /** Only for a map. */
  readonly keyType?: ScalarType;
}

/** Far above any configuration: it bounds what a text of a client may cost. */
const MAX_LENGTH = 1024 * 1024;
const MAX_DEPTH = 32;
const MAX_VALUES = 50_000;
/** Longest text that is quoted in a problem or compared with names. */
const MAX_QUOTED = 100;

export function parseTextFormat(text: string, type: MessageType): ReadDocument {
  if (text.length > MAX_LENGTH) {
    const message = `the text has ${text.length} characters; at most ${MAX_LENGTH} are read`;
    return { kind: 'problems', problems: [{ line: 1, column: 1, message }] };
  }
  return new Parser(text).parse(type);
}

/** Where the text stops being text format: what follows cannot be read. */
class SyntaxProblem extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

interface Token {
  readonly kind: 'name' | 'number' | 'string' | 'mark' | 'end';
  readonly text: string;
  readonly offset: number;
}

/** One of a number's forms, or an octal or hexadecimal integer. A letter right behind it is no part of it, and an error. */
const NUMBER = /(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?)/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const SPACE = /(?:[ \t\r\n\v\f]|#[^\n]*)+/y;
const MARKS = '{}<>[]:,;-';

type Value = boolean | number | string | Value[] | { [name: string]: Value };
/** Where each element of a list, or field of a message, begins. */
type Places = Map<string | number, number>;
/** The message being read; maps are already objects. */
type Fields = Map<string, Value | Map<string, Value>>;

class Parser {
  readonly #text: string;
  readonly #places = new WeakMap<object, Places>();
  readonly #problems: Problem[] = [];
  #at = 0;
  #values = 0;
  #token: Token = { kind: 'end', text: '', offset: 0 };
  #lineStarts: number[] | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  parse(type: MessageType): ReadDocument {
    try {
      this.#next();
      const content = this.#message(type, undefined, 0);
      if (this.#problems.length > 0) return { kind: 'problems', problems: this.#problems };
      return { kind: 'document', document: { content, locate: (path) => this.#locate(content, path) } };
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      this.#report(error.offset, error.message);
      return { kind: 'problems', problems: this.#problems };
    }
  }

  /** The place of what the path leads to, or of the nearest around it that is there. */
  #locate(content: Value, path: readonly PropertyKey[]): { line: number; column: number } {
    let current: unknown = content;
    let offset = 0;
    for (const step of path) {
      if (typeof current !== 'object' || current === null || typeof step === 'symbol') break;
      const place = this.#places.get(current)?.get(step);
      if (place === undefined) break;
      offset = place;
      current = (current as Record<string | number, unknown>)[step];
    }
    return this.#position(offset);
  }

  #position(offset: number): { line: number; column: number } {
    this.#lineStarts ??= [0, ...[...this.#text.matchAll(/\n/g)].map(({ index }) => index + 1)];
    const starts = this.#lineStarts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
  }

  /** Reads on after it: the rest may have problems of its own. */
  #report(offset: number, message: string | (() => string)): void {
    if (this.#problems.length >= MAX_PROBLEMS) return;
    this.#problems.push({ ...this.#position(offset), message: typeof message === 'string' ? message : message() });
  }

  /** @param close the mark that ends it; `undefined` for the whole text. */
  #message(type: MessageType, close: string | undefined, depth: number): { [name: string]: Value } {
    const fields: Fields = new Map();
    const places: Places = new Map();
    while (!this.#is('mark', close)) {
      if (this.#token.kind === 'end') {
        if (close === undefined) break;
        throw this.#expected(`a field or '${close}'`);
      }
      const { text: name, offset, kind } = this.#token;
      if (kind !== 'name') throw this.#expected('the name of a field');
      this.#next();
      const field = Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
      if (field === undefined) {
        const quoted = name.slice(0, MAX_QUOTED);
        const known = Object.keys(type.fields);
        this.#report(offset, () => `${quoted}: there is no such field${suggestion(quoted, known)}`);
        this.#skipField(depth);
      } else {
        this.#field({ name, offset, field, type }, { fields, places }, depth);
      }
      if (this.#is('mark', ',') || this.#is('mark', ';')) this.#next();
    }
    if (close !== undefined) this.#next();
    return this.#gathered(fields, places);
  }

  #field(
    { name, offset, field, type }: { name: string; offset: number; field: Field; type: MessageType },
    { fields, places }: { fields: Fields; places: Places },
    depth: number,
  ): void {
    const hasColon = this.#is('mark', ':');
    if (hasColon) this.#next();
    else if (!isMessage(field)) throw this.#expected(`':' after ${name}`);
    // A scalar's place is its value, any other field's place is its name.
    const place = isMessage(field) ? offset : this.#token.offset;
    if (field.label === 'singular') {
      if (fields.has(name)) this.#report(offset, `${name} is given twice`);
      const rival = type.oneofs.find((names) => names.includes(name))?.find((other) => fields.has(other));
      if (rival !== undefined && rival !== name) {
        this.#report(offset, `${name} and ${rival} exclude each other: keep one`);
      }
      fields.set(name, this.#value(name, field.type, depth));
      places.set(name, place);
      return;
    }
    if (!places.has(name)) places.set(name, place);
    const add = field.label === 'map' ? this.#mapAdder(name, field, fields) : this.#listAdder(name, field, fields);
    if (!this.#is('mark', '[')) {
      add(depth);
      return;
    }
    this.#next();
    for (let first = true; !this.#is('mark', ']'); first = false) {
      if (!first) {
        this.#take(',', `',' or ']' in the list of ${name}`);
      }
      add(depth);
    }
    this.#next();
  }

  #listAdder(name: string, { type }: Field, fields: Fields): (depth: number) => void {
    const before = fields.get(name);
    const list = Array.isArray(before) ? before : this.#placed<Value[]>([], new Map());
    fields.set(name, list);
    return (depth) => {
      this.#places.get(list)?.set(list.length, this.#token.offset);
      list.push(this.#value(name, type, depth));
    };
  }

  #mapAdder(name: string, { type, keyType = 'string' }: Field, fields: Fields): (depth: number) => void {
    const entry: MessageType = {
      fields: { key: { type: keyType, label: 'singular' }, value: { type, label: 'singular' } },
      oneofs: [],
    };
    const before = fields.get(name);
    const entries = before instanceof Map ? before : this.#placed(new Map<string, Value>(), new Map());
    fields.set(name, entries);
    return (depth) => {
      const { offset } = this.#token;
      const { key, value } = this.#value(name, entry, depth) as { [name: string]: Value };
      const text = String(key ?? zeroOf(keyType));
      if (entries.has(text)) this.#report(offset, `${name} has the key '${text.slice(0, MAX_QUOTED)}' twice`);
      this.#places.get(entries)?.set(text, offset);
      entries.set(text, value ?? zeroOf(type));
    };
  }

  /** Builds an object from the gathered fields: `fromEntries` makes a property even of a key such as `__proto__`. */
  #gathered(fields: Fields, places: Places): { [name: string]: Value } {
    const values = [...fields].map(([name, value]): [string, Value] => {
      if (!(value instanceof Map)) return [name, value];
      return [name, this.#placed(Object.fromEntries(value), this.#places.get(value) ?? new Map())];
    });
    return this.#placed(Object.fromEntries(values), places);
  }

  #value(name: string, type: FieldType, depth: number): Value {
    this.#values++;
    if (this.#values > MAX_VALUES) throw new SyntaxProblem(this.#token.offset, `more than ${MAX_VALUES} values`);
    if (typeof type === 'string') return this.#scalar(name, type);
    if ('values' in type) return this.#enumValue(name, type);
    const { text } = this.#token;
    if (!this.#is('mark', '{') && !this.#is('mark', '<')) throw this.#expected(`'{' after ${name}`);
    if (depth + 1 >= MAX_DEPTH) throw new SyntaxProblem(this.#token.offset, `more than ${MAX_DEPTH} levels`);
    this.#next();
    return this.#message(type, text === '{' ? '}' : '>', depth + 1);
  }

  #scalar(name: string, type: ScalarType): Value {
    if (type === 'string') return this.#strings(name);
    const { offset } = this.#token;
    const isNegative = this.#is('mark', '-');
    if (isNegative) this.#next();
    const { kind, text } = this.#token;
    if (kind !== 'name' && kind !== 'number') throw this.#expected(`${WANTED[type]} for ${name}`);
    this.#next();
    const value = type === 'bool' ? booleanOf(kind, text, isNegative) : numberOf(type, kind, text, isNegative);
    if (value === undefined) {
      this.#report(
        offset,
        `${name}: expected ${WANTED[type]}, got ${isNegative ? '-' : ''}${text.slice(0, MAX_QUOTED)}`,
      );
    }
    return value ?? 0;
  }

  #enumValue(name: string, { values }: EnumType): Value {
    const { kind, text, offset } = this.#token;
    if (kind !== 'name' && kind !== 'number') throw this.#expected(`one of ${values.join(', ')} for ${name}`);
    this.#next();
    if (kind === 'name' && values.includes(text)) return text;
    const numbered = kind === 'number' ? values[Number(text)] : undefined;
    if (numbered !== undefined) return numbered;
    const quoted = text.slice(0, MAX_QUOTED);
    this.#report(offset, () => `${name}: there is no ${quoted}${suggestion(quoted, values)}`);
    return text;
  }

  /** Adjacent texts are one, but an escape ends with its own text. Escapes are of bytes: only the whole has to be UTF-8. */
  #strings(name: string): string {
    const { offset } = this.#token;
    if (!this.#has('string')) throw this.#expected(`a text in quotes for ${name}`);
    const written: string[] = [];
    while (this.#has('string')) {
      written.push(this.#token.text.slice(1, -1));
      this.#next();
    }
    if (!written.some((each) => each.includes('\\'))) return written.join('');
    const value = unescaped(written);
    if (typeof value === 'string') return value;
    this.#report(offset, `${name}: ${value.problem}`);
    return '';
  }

  /** What follows a name that is not known, whatever it is. */
  #skipField(depth: number): void {
    if (this.#is('mark', ':')) this.#next();
    this.#skipValue(depth);
  }

  #skipValue(depth: number): void {
    if (depth >= MAX_DEPTH) throw new SyntaxProblem(this.#token.offset, `more than ${MAX_DEPTH} levels`);
    if (this.#is('mark', '-')) this.#next();
    const { kind, text } = this.#token;
    if (kind === 'string' || kind === 'name' || kind === 'number') {
      this.#next();
      while (kind === 'string' && this.#has('string')) this.#next();
      return;
    }
    const close = kind === 'mark' ? CLOSING.get(text) : undefined;
    if (close === undefined) throw this.#expected('a value');
    this.#next();
    for (let first = true; !this.#is('mark', close); first = false) {
      if (close === ']') {
        if (!first) this.#take(',', "',' or ']'");
        this.#skipValue(depth + 1);
        continue;
      }
      if (!this.#has('name')) throw this.#expected(`a field or '${close}'`);
      this.#next();
      this.#skipField(depth + 1);
      if (this.#is('mark', ',') || this.#is('mark', ';')) this.#next();
    }
    this.#next();
  }

  #placed<T extends object>(container: T, places: Places): T {
    this.#places.set(container, places);
    return container;
  }

  #is(kind: Token['kind'], text: string | undefined): boolean {
    return this.#token.kind === kind && this.#token.text === text;
  }

  #has(kind: Token['kind']): boolean {
    return this.#token.kind === kind;
  }

  #take(mark: string, wanted: string): void {
    if (!this.#is('mark', mark)) throw this.#expected(wanted);
    this.#next();
  }

  #expected(wanted: string): SyntaxProblem {
    const { kind, text, offset } = this.#token;
    return new SyntaxProblem(
      offset,
      `expected ${wanted}, got ${kind === 'end' ? 'the end' : `'${text.slice(0, MAX_QUOTED)}'`}`,
    );
  }

  #next(): void {
    this.#match(SPACE);
    const offset = this.#at;
    const first = this.#text[offset];
    if (first === undefined) {
      this.#token = { kind: 'end', text: '', offset };
    } else if (first === '"' || first === "'") {
      this.#token = { kind: 'string', text: this.#quoted(first), offset };
    } else {
      const name = this.#match(NAME);
      const number = name === undefined ? this.#match(NUMBER) : undefined;
      if (name !== undefined) {
        this.#token = { kind: 'name', text: name, offset };
      } else if (number !== undefined) {
        if (/[A-Za-z0-9_.]/.test(this.#text[this.#at] ?? '')) {
          throw new SyntaxProblem(offset, `'${number}${this.#text[this.#at]}' begins like a number and is none`);
        }
        this.#token = { kind: 'number', text: number, offset };
      } else if (MARKS.includes(first)) {
        this.#at++;
        this.#token = { kind: 'mark', text: first, offset };
      } else {
        throw new SyntaxProblem(offset, `unexpected character ${JSON.stringify(first)}`);
      }
    }
  }

  /** From here on, with its quotes. */
  #quoted(quote: string): string {
    const start = this.#at;
    for (let at = start + 1; at < this.#text.length; at++) {
      const character = this.#text[at];
      if (character === '\n') break;
      if (character === '\\') at++;
      else if (character === quote) {
        this.#at = at + 1;
        return this.#text.slice(start, at + 1);
      }
    }
    throw new SyntaxProblem(start, `the text that begins here has no closing ${quote} on its line`);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}

const CLOSING: ReadonlyMap<string, string> = new Map([
  ['{', '}'],
  ['<', '>'],
  ['[', ']'],
]);

function isMessage({ type, label }: Field): boolean {
  return label === 'map' || (typeof type === 'object' && 'fields' in type);
}

/** What a map's entry has that names no value. */
function zeroOf(type: FieldType): Value {
  if (type === 'string') return '';
  if (type === 'bool') return false;
  if (typeof type === 'string') return 0;
  return 'values' in type ? (type.values[0] ?? '') : {};
}

const INTEGER_RANGES = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint64: [0, Number.MAX_SAFE_INTEGER],
} as const;

const WANTED: Readonly<Record<ScalarType, string>> = {
  bool: 'true or false',
  string: 'a text in quotes',
  float: 'a number',
  double: 'a number',
  int32: 'a whole number of 32 bits',
  uint32: 'a whole number from 0 of 32 bits',
  int64: 'a whole number of 64 bits',
  uint64: 'a whole number from 0 of 64 bits',
};

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['True', true],
  ['t', true],
  ['false', false],
  ['False', false],
  ['f', false],
]);

function booleanOf(kind: Token['kind'], text: string, isNegative: boolean): boolean | undefined {
  if (isNegative) return undefined;
  if (kind === 'number') return text === '1' ? true : text === '0' ? false : undefined;
  return BOOLEANS.get(text);
}

function numberOf(
  type: Exclude<ScalarType, 'bool' | 'string'>,
  kind: Token['kind'],
  text: string,
  isNegative: boolean,
): number | string | undefined {
  const sign = isNegative ? -1 : 1;
  if (type === 'float' || type === 'double') {
    if (kind === 'number') return sign * (isInteger(text) ? integerOf(text) : Number(text.replace(/[fF]$/, '')));
    if (/^inf(inity)?$/i.test(text)) return sign * Number.POSITIVE_INFINITY;
    return /^nan$/i.test(text) ? Number.NaN : undefined;
  }
  if (kind !== 'number' || !isInteger(text)) return undefined;
  const value = sign * integerOf(text);
  const [least, most] = INTEGER_RANGES[type];
  // `+ 0` makes no -0 of it.
  return value >= least && value <= most ? value + 0 : longOf(type, text, isNegative);
}

/** Beyond 2^53 the digits as a text, as JSON of protobuf has all integers of 64 bits. */
function longOf(type: ScalarType, text: string, isNegative: boolean): string | undefined {
  if ((type !== 'int64' && type !== 'uint64') || text.length > 25) return undefined;
  const value = BigInt(text.replace(/^0(?=[0-7])/, '0o')) * (isNegative ? -1n : 1n);
  const fits = type === 'int64' ? BigInt.asIntN(64, value) === value : BigInt.asUintN(64, value) === value;
  return fits ? String(value) : undefined;
}

function isInteger(text: string): boolean {
  return /^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.test(text);
}

/** Hexadecimal with `0x`, octal with `0`, or decimal. */
function integerOf(text: string): number {
  return /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
}

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = {
  a: 0x07,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
  v: 0x0b,
  '\\': 0x5c,
  "'": 0x27,
  '"': 0x22,
  '?': 0x3f,
};

const ESCAPE = /\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g;

function unescaped(written: readonly string[]): string | { readonly problem: string } {
  const pieces: Uint8Array[] = [];
  for (const each of written) {
    const problem = unescapeInto(pieces, each);
    if (problem !== undefined) return { problem };
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces));
  } catch {
    return { problem: 'the text is not valid UTF-8' };
  }
}

/** Adds the bytes of one text to `pieces`, or returns what is wrong with it. */
function unescapeInto(pieces: Uint8Array[], written: string): string | undefined {
  let from = 0;
  for (const { index, 0: sequence, 1: hex, 2: short, 3: long, 4: octal, 5: simple = '' } of written.matchAll(ESCAPE)) {
    pieces.push(Buffer.from(written.slice(from, index)));
    from = index + sequence.length;
    const byte =
      hex !== undefined
        ? Number.parseInt(hex, 16)
        : octal !== undefined
          ? Number.parseInt(octal, 8)
          : SIMPLE_ESCAPES[simple];
    const point = short ?? long;
    if (point !== undefined) {
      const code = Number.parseInt(point, 16);
      if (code > 0x10_ffff || (code >= 0xd800 && code <= 0xdfff)) return `${sequence} is no character`;
      pieces.push(Buffer.from(String.fromCodePoint(code)));
    } else if (byte === undefined || byte > 0xff) {
      return `there is no escape ${sequence}`;
    } else {
      pieces.push(Uint8Array.of(byte));
    }
  }
  pieces.push(Buffer.from(written.slice(from)));
  return undefined;
}
