/**
 * Header lists to header blocks (RFC 7541). Fields that every answer repeats are put into the dynamic table once and are a
 * byte each from then on; all others are literals, without Huffman coding, that no table takes: they belong to failures.
 */

import { DEFAULT_TABLE_BYTES, STATIC_LENGTH } from './hpack-table.ts';

/** A peer with a smaller table gets literals only. The fields that are repeated take less, so nothing is ever evicted. */
const MIN_TABLE_BYTES = 256;

const INDEXED = { first: 0x80, prefix: 7 } as const;
const INCREMENTAL = { first: 0x40, prefix: 6 } as const;
const SIZE_UPDATE = { first: 0x20, prefix: 5 } as const;
const NOT_INDEXED = { first: 0x00, prefix: 4 } as const;

type Representation = typeof INDEXED | typeof INCREMENTAL | typeof SIZE_UPDATE | typeof NOT_INDEXED;

/** A field that is worth an entry in the dynamic table, because it repeats. */
export interface RepeatedField {
  /** An index of the static table, or the name. */
  readonly name: number | string;
  readonly value: string;
}

const NOTHING = Buffer.alloc(0);

export class HpackEncoder {
  readonly #block: number[] = [];
  /** The table's entries, oldest first. */
  #entries: RepeatedField[] = [];
  #tableBytes = DEFAULT_TABLE_BYTES;
  #owesSizeUpdate = false;

  /** Whether `field` is a byte from now on. */
  isIndexed(field: RepeatedField): boolean {
    return this.#entries.includes(field) && !this.#owesSizeUpdate;
  }

  /** @param bytes SETTINGS_HEADER_TABLE_SIZE of the peer */
  setTableSize(bytes: number): void {
    const size = Math.min(bytes, DEFAULT_TABLE_BYTES);
    if (size === this.#tableBytes) return;
    this.#tableBytes = size;
    this.#entries = [];
    this.#owesSizeUpdate = true;
  }

  /** Takes the block that was made since the last one. */
  end(): Buffer {
    const block = Buffer.from(this.#block);
    this.#block.length = 0;
    return block;
  }

  /** Takes what has to stand at the beginning of the next block: nothing, or a size update. */
  begun(): Buffer {
    if (!this.#owesSizeUpdate) return NOTHING;
    this.#begin();
    return this.end();
  }

  static(index: number): void {
    this.#begin();
    this.#integer(INDEXED, index);
  }

  repeated(field: RepeatedField): void {
    this.#begin();
    const position = this.#entries.indexOf(field);
    if (position >= 0) {
      // Section 2.3.3: the newest entry comes right after the static ones.
      this.#integer(INDEXED, STATIC_LENGTH + this.#entries.length - position);
    } else if (this.#tableBytes >= MIN_TABLE_BYTES) {
      this.#entries.push(field);
      this.#field(INCREMENTAL, field.name, field.value);
    } else {
      this.#field(NOT_INDEXED, field.name, field.value);
    }
  }

  /** @param value Latin-1 */
  literal(name: number | string, value: string): void {
    this.#begin();
    this.#field(NOT_INDEXED, name, value);
  }

  /** Section 4.2: the first block after a change says so; down to nothing first, so that both tables are empty. */
  #begin(): void {
    if (!this.#owesSizeUpdate || this.#block.length > 0) return;
    this.#owesSizeUpdate = false;
    this.#integer(SIZE_UPDATE, 0);
    if (this.#tableBytes > 0) this.#integer(SIZE_UPDATE, this.#tableBytes);
  }

  /** Section 6.2. */
  #field(representation: Representation, name: number | string, value: string): void {
    this.#integer(representation, typeof name === 'number' ? name : 0);
    if (typeof name === 'string') this.#string(name);
    this.#string(value);
  }

  /** Section 5.1. */
  #integer({ first, prefix }: Representation | { first: number; prefix: number }, value: number): void {
    const mask = (1 << prefix) - 1;
    if (value < mask) {
      this.#block.push(first | value);
      return;
    }
    this.#block.push(first | mask);
    let rest = value - mask;
    for (; rest >= 0x80; rest >>>= 7) this.#block.push((rest & 0x7f) | 0x80);
    this.#block.push(rest);
  }

  /** Section 5.2. */
  #string(text: string): void {
    this.#integer({ first: 0, prefix: 7 }, text.length);
    for (let at = 0; at < text.length; at++) this.#block.push(text.charCodeAt(at));
  }
}
