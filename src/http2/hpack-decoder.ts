/** Header blocks to heads of requests (RFC 7541). */

import { compressionError } from './error-code.ts';
import { HeaderField, HTTP_FIELD_KINDS } from './header-field.ts';
import { HpackTable } from './hpack-table.ts';
import { decodeHuffman } from './huffman.ts';
import type { HeadMaker } from './protocol.ts';
import { RequestHead } from './request-head.ts';

const PLAIN: HeadMaker = {
  fieldKinds: HTTP_FIELD_KINDS,
  requestHead: (maxListBytes) => new RequestHead(maxListBytes),
};

/** The longest block that is remembered. */
const REMEMBERED_BYTES = 256;
/** Section 5.1: four further bytes hold all that a limit of ours lets through. */
const MAX_INTEGER_SHIFT = 21;

export class HpackDecoder {
  readonly #maxListBytes: number;
  readonly #heads: HeadMaker;
  readonly #table = new HpackTable();
  #block: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  // A block that leaves the table as it is means the same for as long as nothing else changes that, and most calls of a
  // connection send the same: its head is given again. With nghttp2, which never indexes `:path`, that is a fifth of a call.
  readonly #lastBlock = Buffer.alloc(REMEMBERED_BYTES);
  #lastLength = -1;
  #lastHead: RequestHead | undefined;

  constructor(maxListBytes: number, heads: HeadMaker = PLAIN) {
    this.#maxListBytes = maxListBytes;
    this.#heads = heads;
  }

  get tableSize(): number {
    return this.#table.size;
  }

  /**
   * Decodes `block[from, to)`, a whole header block. A list over the limit is decoded to its end, because the table must
   * stay what the peer's is, but not kept.
   * @throws ConnectionError COMPRESSION_ERROR
   */
  decode(block: Buffer, from: number, to: number): RequestHead {
    if (this.#lastHead !== undefined && this.#isLast(block, from, to)) return this.#lastHead;
    const head = this.#heads.requestHead(this.#maxListBytes);
    this.#block = block;
    this.#at = from;
    this.#end = to;
    const changesTable = this.#fields(head);
    if (!changesTable && to - from <= REMEMBERED_BYTES) this.#remember(block.subarray(from, to), head);
    this.#block = this.#lastBlock;
    return head;
  }

  /** @returns whether the table has changed */
  #fields(head: RequestHead): boolean {
    let changesTable = false;
    let first = true;
    while (this.#at < this.#end) {
      const byte = this.#block[this.#at] ?? 0;
      if (byte & 0x80) {
        // Section 6.1: an indexed field.
        head.add(this.#table.entry(this.#integer(7)));
      } else if (byte & 0x40) {
        // Section 6.2.1: a literal that the table takes.
        const field = this.#literal(6);
        this.#table.add(field);
        this.#lastHead = undefined;
        head.add(field);
        changesTable = true;
      } else if (byte & 0x20) {
        // Section 4.2 and 6.3: the table's size changes only at the start of a block.
        if (!first) throw compressionError('a table size update behind a field');
        this.#table.resize(this.#integer(5));
        this.#lastHead = undefined;
        changesTable = true;
        continue;
      } else {
        // Section 6.2.2 and 6.2.3: a literal that the table does not take.
        head.add(this.#literal(4));
      }
      first = false;
    }
    return changesTable;
  }

  #literal(prefix: number): HeaderField {
    const index = this.#integer(prefix);
    const name = index === 0 ? this.#string() : this.#table.entry(index).name;
    return new HeaderField(name, this.#string(), this.#heads.fieldKinds);
  }

  /** Section 5.1. */
  #integer(prefix: number): number {
    const mask = (1 << prefix) - 1;
    let value = (this.#block[this.#at++] ?? 0) & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= this.#end) throw compressionError('a header block that ends inside an integer');
      if (shift > MAX_INTEGER_SHIFT) throw compressionError('an integer that is too long');
      const byte = this.#block[this.#at++] ?? 0;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  /** Section 5.2. */
  #string(): string {
    if (this.#at >= this.#end) throw compressionError('a header block that ends before a string');
    const isHuffman = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const from = this.#at;
    const to = from + length;
    if (to > this.#end) throw compressionError('a string that is longer than its header block');
    this.#at = to;
    if (isHuffman) return decodeHuffman(this.#block, from, to);
    return this.#block.toString('latin1', from, to);
  }

  #isLast(block: Buffer, from: number, to: number): boolean {
    const length = to - from;
    if (length !== this.#lastLength) return false;
    for (let at = 0; at < length; at++) if (block[from + at] !== this.#lastBlock[at]) return false;
    return true;
  }

  #remember(block: Uint8Array, head: RequestHead): void {
    this.#lastBlock.set(block);
    this.#lastLength = block.length;
    this.#lastHead = head;
  }
}
