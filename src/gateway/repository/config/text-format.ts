/**
 * Protocol Buffers' text format, read by the description of a message. What comes out is plain: numbers, texts, lists and
 * objects by the names of fields, as the JSON of the same message would be.
 * Rules: https://protobuf.dev/reference/protobuf/textformat-spec/
 *
 * TEXT-1: no text makes this throw, recurse deeper than `MAX_DEPTH`, or take time that is more than linear in its length.
 * TEXT-2: nothing is dropped: an unknown or repeated field is a problem.
 */

import { suggestion } from '../../../suggestion.ts';
import { MAX_PROBLEMS, type Problem, type ReadDocument } from './located.ts';
import { CLOSING, Lexer, MAX_QUOTED, SyntaxProblem } from './text-format-lexer.ts';
import { booleanOf, numberOf, unescaped, WANTED } from './text-format-scalar.ts';
import {
  type EnumType,
  type Field,
  type FieldType,
  isMessage,
  type MessageType,
  type ScalarType,
  type Value,
  zeroOf,
} from './text-format-type.ts';

/** Far above any configuration: it bounds what a text of a client may cost. */
const MAX_LENGTH = 1024 * 1024;
const MAX_DEPTH = 32;
const MAX_VALUES = 50_000;
export function parseTextFormat(text: string, type: MessageType): ReadDocument {
  if (text.length > MAX_LENGTH) {
    const message = `the text has ${text.length} characters; at most ${MAX_LENGTH} are read`;
    return { kind: 'problems', problems: [{ line: 1, column: 1, message }] };
  }
  return new Parser(text).parse(type);
}

/** Where each element of a list, or field of a message, begins. */
type Places = Map<string | number, number>;
/** The message being read; maps are already objects. */
type Fields = Map<string, Value | Map<string, Value>>;

class Parser {
  readonly #text: string;
  readonly #places = new WeakMap<object, Places>();
  readonly #problems: Problem[] = [];
  #values = 0;
  readonly #lexer: Lexer;
  #lineStarts: number[] | undefined;

  constructor(text: string) {
    this.#text = text;
    this.#lexer = new Lexer(text);
  }

  parse(type: MessageType): ReadDocument {
    try {
      this.#lexer.next();
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
    while (!this.#lexer.is('mark', close)) {
      if (this.#lexer.token.kind === 'end') {
        if (close === undefined) break;
        throw this.#lexer.expected(`a field or '${close}'`);
      }
      const { text: name, offset, kind } = this.#lexer.token;
      if (kind !== 'name') throw this.#lexer.expected('the name of a field');
      this.#lexer.next();
      const field = Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
      if (field === undefined) {
        const quoted = name.slice(0, MAX_QUOTED);
        const known = Object.keys(type.fields);
        this.#report(offset, () => `${quoted}: there is no such field${suggestion(quoted, known)}`);
        this.#skipField(depth);
      } else {
        this.#field({ name, offset, field, type }, { fields, places }, depth);
      }
      if (this.#lexer.is('mark', ',') || this.#lexer.is('mark', ';')) this.#lexer.next();
    }
    if (close !== undefined) this.#lexer.next();
    return this.#gathered(fields, places);
  }

  #field(
    { name, offset, field, type }: { name: string; offset: number; field: Field; type: MessageType },
    { fields, places }: { fields: Fields; places: Places },
    depth: number,
  ): void {
    const hasColon = this.#lexer.is('mark', ':');
    if (hasColon) this.#lexer.next();
    else if (!isMessage(field)) throw this.#lexer.expected(`':' after ${name}`);
    // A scalar's place is its value, any other field's place is its name.
    const place = isMessage(field) ? offset : this.#lexer.token.offset;
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
    if (!this.#lexer.is('mark', '[')) {
      add(depth);
      return;
    }
    this.#lexer.next();
    for (let first = true; !this.#lexer.is('mark', ']'); first = false) {
      if (!first) {
        this.#lexer.take(',', `',' or ']' in the list of ${name}`);
      }
      add(depth);
    }
    this.#lexer.next();
  }

  #listAdder(name: string, { type }: Field, fields: Fields): (depth: number) => void {
    const before = fields.get(name);
    const list = Array.isArray(before) ? before : this.#placed<Value[]>([], new Map());
    fields.set(name, list);
    return (depth) => {
      this.#places.get(list)?.set(list.length, this.#lexer.token.offset);
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
      const { offset } = this.#lexer.token;
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
    if (this.#values > MAX_VALUES) throw new SyntaxProblem(this.#lexer.token.offset, `more than ${MAX_VALUES} values`);
    if (typeof type === 'string') return this.#scalar(name, type);
    if ('values' in type) return this.#enumValue(name, type);
    const { text } = this.#lexer.token;
    if (!this.#lexer.is('mark', '{') && !this.#lexer.is('mark', '<')) throw this.#lexer.expected(`'{' after ${name}`);
    if (depth + 1 >= MAX_DEPTH) throw new SyntaxProblem(this.#lexer.token.offset, `more than ${MAX_DEPTH} levels`);
    this.#lexer.next();
    return this.#message(type, text === '{' ? '}' : '>', depth + 1);
  }

  #scalar(name: string, type: ScalarType): Value {
    if (type === 'string') return this.#strings(name);
    const { offset } = this.#lexer.token;
    const isNegative = this.#lexer.is('mark', '-');
    if (isNegative) this.#lexer.next();
    const { kind, text } = this.#lexer.token;
    if (kind !== 'name' && kind !== 'number') throw this.#lexer.expected(`${WANTED[type]} for ${name}`);
    this.#lexer.next();
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
    const { kind, text, offset } = this.#lexer.token;
    if (kind !== 'name' && kind !== 'number') throw this.#lexer.expected(`one of ${values.join(', ')} for ${name}`);
    this.#lexer.next();
    if (kind === 'name' && values.includes(text)) return text;
    const numbered = kind === 'number' ? values[Number(text)] : undefined;
    if (numbered !== undefined) return numbered;
    const quoted = text.slice(0, MAX_QUOTED);
    this.#report(offset, () => `${name}: there is no ${quoted}${suggestion(quoted, values)}`);
    return text;
  }

  /** Adjacent texts are one, but an escape ends with its own text. Escapes are of bytes: only the whole has to be UTF-8. */
  #strings(name: string): string {
    const { offset } = this.#lexer.token;
    if (!this.#lexer.has('string')) throw this.#lexer.expected(`a text in quotes for ${name}`);
    const written: string[] = [];
    while (this.#lexer.has('string')) {
      written.push(this.#lexer.token.text.slice(1, -1));
      this.#lexer.next();
    }
    if (!written.some((each) => each.includes('\\'))) return written.join('');
    const value = unescaped(written);
    if (typeof value === 'string') return value;
    this.#report(offset, `${name}: ${value.problem}`);
    return '';
  }

  /** Skips the value of an unknown name. */
  #skipField(depth: number): void {
    if (this.#lexer.is('mark', ':')) this.#lexer.next();
    this.#skipValue(depth);
  }

  #skipValue(depth: number): void {
    if (depth >= MAX_DEPTH) throw new SyntaxProblem(this.#lexer.token.offset, `more than ${MAX_DEPTH} levels`);
    if (this.#lexer.is('mark', '-')) this.#lexer.next();
    const { kind, text } = this.#lexer.token;
    if (kind === 'string' || kind === 'name' || kind === 'number') {
      this.#lexer.next();
      while (kind === 'string' && this.#lexer.has('string')) this.#lexer.next();
      return;
    }
    const close = kind === 'mark' ? CLOSING.get(text) : undefined;
    if (close === undefined) throw this.#lexer.expected('a value');
    this.#lexer.next();
    for (let first = true; !this.#lexer.is('mark', close); first = false) {
      if (close === ']') {
        if (!first) this.#lexer.take(',', "',' or ']'");
        this.#skipValue(depth + 1);
        continue;
      }
      if (!this.#lexer.has('name')) throw this.#lexer.expected(`a field or '${close}'`);
      this.#lexer.next();
      this.#skipField(depth + 1);
      if (this.#lexer.is('mark', ',') || this.#lexer.is('mark', ';')) this.#lexer.next();
    }
    this.#lexer.next();
  }

  #placed<T extends object>(container: T, places: Places): T {
    this.#places.set(container, places);
    return container;
  }
}
