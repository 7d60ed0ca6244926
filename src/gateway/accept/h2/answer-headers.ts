/** The header blocks of a gRPC answer: its head, and its trailers (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Responses"). */

import { Status, type StatusCode } from '../../errors.ts';
import type { Trailers } from '../call.ts';
import { HpackEncoder, type RepeatedField } from './hpack-encoder.ts';
import { STATIC_INDEX } from './hpack-table.ts';

/** How an answer ends. */
export interface AnswerEnd {
  readonly code: StatusCode;
  /** Bounded, well-formed. */
  readonly text: string;
  readonly trailers?: Trailers | undefined;
}

const CONTENT_TYPE: RepeatedField = { name: STATIC_INDEX.CONTENT_TYPE, value: 'application/grpc' };
const STATUS_OK: RepeatedField = { name: 'grpc-status', value: '0' };

/** Without text and metadata; two fields and their overhead, and a margin. */
const BARE_BYTES = 256;

export class AnswerHeaders {
  readonly #encoder = new HpackEncoder();
  // Two bytes and one, once the peer's table has the fields.
  #head: Buffer | undefined;
  #okTrailers: Buffer | undefined;
  /** The block of the trailers that came last: load reports are shared by all answers of a while. */
  #shared: { readonly trailers: Trailers; readonly maxListBytes: number; readonly block: Buffer } | undefined;

  setTableSize(bytes: number): void {
    this.#encoder.setTableSize(bytes);
    this.#head = undefined;
    this.#okTrailers = undefined;
    this.#shared = undefined;
  }

  /** `:status` and `content-type`. */
  head(): Buffer {
    if (this.#head !== undefined) return this.#head;
    this.#encodeHead();
    const block = this.#encoder.end();
    if (this.#encoder.isIndexed(STATUS_OK)) this.#head = this.#again(() => this.#encodeHead());
    return block;
  }

  /**
   * The last block.
   * @param alone nothing was sent before it: it holds the head, too ("Trailers-Only")
   * @param maxListBytes what the peer takes; rather than pass it the answer ends without text and metadata
   */
  trailers(end: AnswerEnd, alone: boolean, maxListBytes: number): Buffer {
    const isPlain = end.code === Status.OK && end.text === '' && end.trailers === undefined && !alone;
    if (isPlain && this.#okTrailers !== undefined) return this.#okTrailers;
    const { trailers } = end;
    const isShareable = end.code === Status.OK && end.text === '' && trailers !== undefined && !alone;
    const shared = this.#shared;
    if (isShareable && shared?.trailers === trailers && shared.maxListBytes === maxListBytes) return shared.block;
    // As long as the status is not in the table, the block puts it there, and must not be sent again.
    const isStable = isShareable && this.#encoder.isIndexed(STATUS_OK);
    if (alone) this.#encodeHead();
    if (end.code === Status.OK) this.#encoder.repeated(STATUS_OK);
    else this.#encoder.literal('grpc-status', String(end.code));
    this.#encodeDetails(end, maxListBytes);
    const block = this.#encoder.end();
    if (isPlain && this.#encoder.isIndexed(CONTENT_TYPE)) {
      this.#okTrailers = this.#again(() => this.#encoder.repeated(STATUS_OK));
    }
    if (isStable) this.#shared = { trailers, maxListBytes, block };
    return block;
  }

  /** The head of an answer that is not gRPC. */
  plain(httpStatus: number): Buffer {
    this.#encoder.literal(STATIC_INDEX.STATUS, String(httpStatus));
    this.#encoder.literal(STATIC_INDEX.CONTENT_TYPE, 'text/plain');
    return this.#encoder.end();
  }

  #encodeHead(): void {
    this.#encoder.static(STATIC_INDEX.STATUS_200);
    this.#encoder.repeated(CONTENT_TYPE);
  }

  #encodeDetails({ text, trailers = {} }: AnswerEnd, maxListBytes: number): void {
    const fields = Object.entries(trailers).map(([name, value]) => [name, fieldValue(value)] as const);
    if (text !== '') fields.unshift(['grpc-message', percentEncode(text)]);
    let listBytes = BARE_BYTES;
    for (const [name, value] of fields) listBytes += name.length + value.length + 32;
    if (listBytes > maxListBytes) return;
    for (const [name, value] of fields) this.#encoder.literal(name, value);
  }

  /** What a block will be from now on: its fields are in the table. */
  #again(encode: () => void): Buffer {
    encode();
    return this.#encoder.end();
  }
}

/** "Binary-Header": Base64 without padding. "ASCII-Value": spaces at either end may be stripped. */
function fieldValue(value: string | Uint8Array): string {
  return typeof value === 'string' ? value.trim() : Buffer.from(value).toString('base64').replace(/=+$/, '');
}

/**
 * "Status-Message": UTF-8, of which all but printable ASCII, and the percent sign, is escaped; so are spaces at either end,
 * which no field may have (RFC 9113, section 8.2.1).
 */
function percentEncode(text: string): string {
  return text.replace(/[^ -$&-~]+|^ | $/gu, (part) => encodeURIComponent(part));
}

const NAME = /^[0-9a-z_.-]+$/;
const VALUE = /^[ -~]*$/;
/** Of the protocol itself. */
const RESERVED = /^(grpc-status|grpc-message|grpc-encoding|content-type|content-length|te|connection)$/;

/** Those that were looked at last: many answers share them. */
let unobjectionable: Trailers | undefined;

/**
 * Why `trailers` cannot be sent, or `undefined` where they can be ("Custom-Metadata"): lower-case names; printable ASCII, or
 * bytes under a name that ends in `-bin`.
 */
export function objection(trailers: Trailers): string | undefined {
  if (trailers === unobjectionable) return undefined;
  for (const [name, value] of Object.entries(trailers)) {
    if (!NAME.test(name) || RESERVED.test(name)) return `'${name}' cannot be the name of a trailer`;
    if (name.endsWith('-bin') !== (typeof value !== 'string'))
      return `only a trailer named '-bin' takes bytes: '${name}'`;
    if (typeof value === 'string' && !VALUE.test(value)) return `the trailer '${name}' is not printable ASCII`;
  }
  unobjectionable = trailers;
  return undefined;
}
