/** The header blocks of a gRPC answer: its head, and its trailers (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Responses"). */

import { HpackEncoder, type RepeatedField } from '../../../http2/hpack-encoder.ts';
import { STATIC_INDEX } from '../../../http2/hpack-table.ts';
import type { ResponseHeaders } from '../../../http2/response-headers.ts';
import { Status, type StatusCode } from '../../errors.ts';
import type { Trailers } from '../call.ts';
import type { DetailedError } from '../error-details.ts';
import { PUSHBACK_TRAILER, pushbackValue } from '../failure.ts';
import { detailedBlock, fieldBytes, PUSHBACK_NAME, statusBlock } from './status-block.ts';

export interface AnswerEnd {
  readonly code: StatusCode;
  /** Bounded, well-formed. */
  readonly text: string;
  readonly trailers?: Trailers | undefined;
  /** The error that the call ends with, whose details go with the status. */
  readonly failure?: DetailedError | undefined;
}

const CONTENT_TYPE: RepeatedField = { name: STATIC_INDEX.CONTENT_TYPE, value: 'application/grpc' };
const STATUS_OK: RepeatedField = { name: 'grpc-status', value: '0' };

/** Without text and metadata; two fields and their overhead, and a margin. */
const BARE_BYTES = 256;
/** Longer blocks of failures are made in memory of their own. */
const SCRATCH_BYTES = 1024;

const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
/** Views of `scratch` by length. Overload sends blocks of few lengths, and to make a view takes longer than to fill it. */
const scratchViews: Buffer[] = [];

const NOTHING = Buffer.alloc(0);

export class AnswerHeaders implements ResponseHeaders {
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
    if (this.#encoder.isIndexed(CONTENT_TYPE)) this.#head = this.#again(() => this.#encodeHead());
    return block;
  }

  /**
   * Encodes the last header block of an answer.
   * @param isTrailersOnly nothing was sent before: the block also holds the head ("Trailers-Only")
   * @param maxListBytes the peer's limit; an answer above it ends without text and metadata
   * @returns bytes that change with the next block
   */
  trailers(end: AnswerEnd, isTrailersOnly: boolean, maxListBytes: number): Buffer {
    if (end.code !== Status.OK) return this.#failure(end, isTrailersOnly, maxListBytes);
    const { trailers } = end;
    const isPlain = trailers === undefined && !isTrailersOnly;
    if (isPlain && this.#okTrailers !== undefined) return this.#okTrailers;
    const isShareable = trailers !== undefined && !isTrailersOnly;
    const shared = this.#shared;
    if (isShareable && shared?.trailers === trailers && shared.maxListBytes === maxListBytes) return shared.block;
    // As long as the status is not in the table, the block puts it there, and must not be sent again.
    const isStable = isShareable && this.#encoder.isIndexed(STATUS_OK);
    if (isTrailersOnly) this.#encodeHead();
    // A new entry moves those before it, and the head refers to one.
    if (!this.#encoder.isIndexed(STATUS_OK)) this.#head = undefined;
    this.#encoder.repeated(STATUS_OK);
    this.#encodeMetadata(trailers, maxListBytes - BARE_BYTES);
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

  /** In one piece from parts that are encoded already: under overload most answers are failures. */
  #failure({ code, text, trailers, failure }: AnswerEnd, isTrailersOnly: boolean, maxListBytes: number): Buffer {
    const pushback = failure?.pushback;
    const wait = pushback === undefined ? '' : pushbackValue(pushback);
    const waitBytes = pushback === undefined ? 0 : fieldBytes(PUSHBACK_TRAILER, wait);
    const most = maxListBytes - BARE_BYTES - waitBytes;
    const rich = failure === undefined ? undefined : detailedBlock(failure, text);
    const status = rich !== undefined && rich.listBytes <= most ? rich : statusBlock(code, text);
    const room = most - status.listBytes;
    const head = isTrailersOnly ? this.head() : this.#encoder.begun();
    const waitLength = pushback === undefined ? 0 : PUSHBACK_NAME.length + 1 + wait.length;
    const metadata = trailers === undefined || room < 0 ? NOTHING : this.#metadata(trailers, room);
    if (room < 0 || metadata === undefined) return Buffer.concat([head, statusBlock(code, '').bytes]);
    const byteLength = head.length + status.bytes.length + metadata.length + waitLength;
    const block = byteLength <= SCRATCH_BYTES ? scratchOf(byteLength) : Buffer.allocUnsafe(byteLength);
    block.set(head, 0);
    let at = head.length;
    block.set(status.bytes, at);
    at += status.bytes.length;
    block.set(metadata, at);
    at += metadata.length;
    if (pushback !== undefined) {
      block.set(PUSHBACK_NAME, at);
      at += PUSHBACK_NAME.length;
      block[at++] = wait.length;
      for (let digit = 0; digit < wait.length; digit++) block[at++] = wait.charCodeAt(digit);
    }
    return block;
  }

  /** @returns `undefined` where they do not fit */
  #metadata(trailers: Trailers, room: number): Buffer | undefined {
    if (!this.#encodeMetadata(trailers, room)) return undefined;
    return this.#encoder.end();
  }

  #encodeMetadata(trailers: Trailers = {}, room: number): boolean {
    const fields = Object.entries(trailers).map(([name, value]) => [name, fieldValue(value)] as const);
    let left = room;
    for (const [name, value] of fields) left -= fieldBytes(name, value);
    if (left < 0) return false;
    for (const [name, value] of fields) this.#encoder.literal(name, value);
    return true;
  }

  /** The block from now on: its fields are in the table. */
  #again(encode: () => void): Buffer {
    encode();
    return this.#encoder.end();
  }
}

function scratchOf(byteLength: number): Buffer {
  const view = scratchViews[byteLength] ?? scratch.subarray(0, byteLength);
  scratchViews[byteLength] = view;
  return view;
}

/** "Binary-Header": Base64 without padding. "ASCII-Value": spaces at either end may be stripped. */
function fieldValue(value: string | Uint8Array): string {
  return typeof value === 'string' ? value.trim() : Buffer.from(value).toString('base64').replace(/=+$/, '');
}

const NAME = /^[0-9a-z_.-]+$/;
const VALUE = /^[ -~]*$/;
/** Fields of the protocol itself. */
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
