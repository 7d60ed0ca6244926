/** The tables of HPACK, as a decoder keeps them (RFC 7541, section 2.3). */

import { compressionError } from './error-code.ts';
import { HeaderField } from './header-field.ts';

/** Appendix A, from index 1 on: names with their values. */
const STATIC_FIELDS: readonly (readonly [name: string, value?: string])[] = [
  [':authority'],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset'],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language'],
  ['accept-ranges'],
  ['accept'],
  ['access-control-allow-origin'],
  ['age'],
  ['allow'],
  ['authorization'],
  ['cache-control'],
  ['content-disposition'],
  ['content-encoding'],
  ['content-language'],
  ['content-length'],
  ['content-location'],
  ['content-range'],
  ['content-type'],
  ['cookie'],
  ['date'],
  ['etag'],
  ['expect'],
  ['expires'],
  ['from'],
  ['host'],
  ['if-match'],
  ['if-modified-since'],
  ['if-none-match'],
  ['if-range'],
  ['if-unmodified-since'],
  ['last-modified'],
  ['link'],
  ['location'],
  ['max-forwards'],
  ['proxy-authenticate'],
  ['proxy-authorization'],
  ['range'],
  ['referer'],
  ['refresh'],
  ['retry-after'],
  ['server'],
  ['set-cookie'],
  ['strict-transport-security'],
  ['transfer-encoding'],
  ['user-agent'],
  ['vary'],
  ['via'],
  ['www-authenticate'],
];

const STATIC_TABLE = STATIC_FIELDS.map(([name, value = '']) => new HeaderField(name, value));

/** Entries of the static table; the dynamic one follows (section 2.3.3). */
export const STATIC_LENGTH = STATIC_TABLE.length;

/** Indices that an encoder needs. */
export const STATIC_INDEX = { STATUS_200: 8, STATUS: 8, CONTENT_TYPE: 31 } as const;

/** Initial SETTINGS_HEADER_TABLE_SIZE (RFC 9113, section 6.5.2). The server never changes it. */
export const DEFAULT_TABLE_BYTES = 4_096;

/** An entry is at least 32 bytes, so no more than 128 are alive: a ring of a power of two. */
const RING = DEFAULT_TABLE_BYTES / 32;

export class HpackTable {
  readonly #ring: (HeaderField | undefined)[] = new Array(RING).fill(undefined);
  /** Entries that were ever added; those alive are the last `#count`. */
  #added = 0;
  #count = 0;
  #size = 0;
  #maxSize = DEFAULT_TABLE_BYTES;

  /** In bytes, as section 4.1 counts them. */
  get size(): number {
    return this.#size;
  }

  /** @throws ConnectionError where there is no such entry (section 2.3.3) */
  entry(index: number): HeaderField {
    const field =
      index <= STATIC_LENGTH
        ? STATIC_TABLE[index - 1]
        : index - STATIC_LENGTH <= this.#count
          ? this.#ring[(this.#added - (index - STATIC_LENGTH)) % RING]
          : undefined;
    if (field === undefined) throw compressionError(`there is no table entry ${index}`);
    return field;
  }

  /** Section 4.4: one that is larger than the table empties it. */
  add(field: HeaderField): void {
    this.#evict(field.size);
    if (field.size > this.#maxSize) return;
    this.#ring[this.#added % RING] = field;
    this.#added++;
    this.#count++;
    this.#size += field.size;
  }

  /** A dynamic table size update (section 6.3). */
  resize(maxSize: number): void {
    if (maxSize > DEFAULT_TABLE_BYTES) throw compressionError('a table larger than SETTINGS_HEADER_TABLE_SIZE');
    this.#maxSize = maxSize;
    this.#evict(0);
  }

  #evict(room: number): void {
    while (this.#count > 0 && this.#size + room > this.#maxSize) {
      const oldest = (this.#added - this.#count) % RING;
      this.#size -= this.#ring[oldest]?.size ?? 0;
      this.#ring[oldest] = undefined;
      this.#count--;
    }
  }
}
