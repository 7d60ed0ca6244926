/** JSON whose values know where they are written: the configuration that a client sends, and what the gateway wrote itself. */

import type { z } from 'zod';
import { JsonError } from '../../../wire/json-bytes.ts';
import { JsonReader } from '../../../wire/json-reader.ts';
import type { Position, ReadDocument } from './located.ts';
import { checkDocument, type Parsed } from './schema-check.ts';

/** Bytes and values of a text. A configuration of a thousand tensors has less than a tenth of both. */
const LIMITS = { maxBytes: 1024 * 1024, maxValues: 20_000 };

const LINE_FEED = 0x0a;

/** Where each field or item of a container is written, in bytes. */
type Places = ReadonlyMap<PropertyKey, number>;

/** Strictly JSON: a key may stand once. Takes time in proportion to the length of the text. */
export function readJson(text: string): ReadDocument {
  return new JsonDocument(Buffer.from(text)).read();
}

export function parseJson<Schema extends z.ZodType>(
  text: string,
  file: string,
  schema: Schema,
): Parsed<z.output<Schema>> {
  return checkDocument(readJson(text), file, schema);
}

class DuplicateKey extends Error {
  readonly offset: number;

  constructor(key: string, offset: number) {
    super(`the key '${key.slice(0, 100)}' stands twice in one object: keep one`);
    this.offset = offset;
  }
}

class JsonDocument {
  readonly #bytes: Buffer;
  readonly #reader: JsonReader;
  readonly #places = new WeakMap<object, Places>();

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#reader = new JsonReader(bytes, LIMITS);
  }

  read(): ReadDocument {
    try {
      const content = this.#value();
      this.#reader.end();
      return { kind: 'document', document: { content, locate: (path) => this.#locate(content, path) } };
    } catch (error) {
      if (!(error instanceof JsonError) && !(error instanceof DuplicateKey)) throw error;
      return { kind: 'problems', problems: [{ ...this.#position(error.offset), message: error.message }] };
    }
  }

  #value(): unknown {
    if (this.#reader.isAtObject) return this.#object();
    return this.#reader.isAtArray ? this.#array() : this.#reader.value();
  }

  #object(): object {
    const places = new Map<string, number>();
    const fields: [string, unknown][] = [];
    for (const key of this.#reader.keys()) {
      const { offset } = this.#reader;
      if (places.has(key)) throw new DuplicateKey(key, offset);
      places.set(key, offset);
      fields.push([key, this.#value()]);
    }
    // `fromEntries` makes a property even of a key such as `__proto__`.
    const object = Object.fromEntries(fields);
    this.#places.set(object, places);
    return object;
  }

  #array(): unknown[] {
    const places = new Map<number, number>();
    const items: unknown[] = [];
    for (const index of this.#reader.items()) {
      places.set(index, this.#reader.offset);
      items.push(this.#value());
    }
    this.#places.set(items, places);
    return items;
  }

  /** Where the value at `path` is, or the nearest one around it. */
  #locate(content: unknown, path: readonly PropertyKey[]): Position {
    let current = content;
    let offset = 0;
    for (const step of path) {
      if (typeof current !== 'object' || current === null) break;
      const place = this.#places.get(current)?.get(step);
      if (place === undefined) break;
      offset = place;
      current = (current as Record<PropertyKey, unknown>)[step];
    }
    return this.#position(offset);
  }

  #position(offset: number): Position {
    let line = 1;
    let start = 0;
    for (let at = 0; at < offset; at++) {
      if (this.#bytes[at] !== LINE_FEED) continue;
      line++;
      start = at + 1;
    }
    return { line, column: this.#bytes.toString('utf8', start, offset).length + 1 };
  }
}
