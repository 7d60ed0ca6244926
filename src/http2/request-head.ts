/** What a header block says, put together field by field. It does not change once it is complete: equal blocks share one. */

import { parseTimeoutMs } from '../gateway/accept/timeout-header.ts';
import { FieldKind, type HeaderField } from './header-field.ts';

const CONTENT_LENGTH = /^\d{1,15}$/;

export class RequestHead {
  method: string | undefined = undefined;
  scheme: string | undefined = undefined;
  path: string | undefined = undefined;
  authority: string | undefined = undefined;
  contentType: string | undefined = undefined;
  contentLength: number | undefined = undefined;
  /** `grpc-encoding` */
  encoding: string | undefined = undefined;
  /** Of `grpc-timeout`; `Infinity` where there is none, `undefined` where it is malformed. */
  timeoutMs: number | undefined = Number.POSITIVE_INFINITY;
  /** The list is longer than the limit: not all of it is here. */
  tooLarge = false;

  readonly #maxBytes: number;
  readonly #metadata: HeaderField[] = [];
  #bytes = 0;
  #malformed = false;
  #hasTimeout = false;
  #hasPseudoField = false;
  #hasRegularField = false;

  /** @param maxBytes of the list, as RFC 9113, section 6.5.2 counts them */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(field: HeaderField): void {
    this.#bytes += field.size;
    if (this.#bytes > this.#maxBytes) {
      this.tooLarge = true;
      return;
    }
    switch (field.kind) {
      case FieldKind.METADATA:
        this.#hasRegularField = true;
        this.#metadata.push(field);
        return;
      case FieldKind.METHOD:
        this.method = this.#pseudo(this.method, field.value);
        return;
      case FieldKind.SCHEME:
        this.scheme = this.#pseudo(this.scheme, field.value);
        return;
      case FieldKind.PATH:
        this.path = this.#pseudo(this.path, field.value);
        return;
      case FieldKind.AUTHORITY:
        this.authority = this.#pseudo(this.authority, field.value);
        return;
      case FieldKind.CONTENT_TYPE:
        this.contentType = field.value;
        break;
      case FieldKind.CONTENT_LENGTH:
        this.#length(field.value);
        break;
      case FieldKind.TIMEOUT:
        this.#timeout(field.value);
        break;
      case FieldKind.ENCODING:
        this.encoding = field.value;
        break;
      case FieldKind.PROTOCOL:
        break;
      case FieldKind.MALFORMED:
        this.#malformed = true;
        break;
    }
    this.#hasRegularField = true;
  }

  /** Of its list, as RFC 9113, section 6.5.2 counts them. */
  get byteLength(): number {
    return this.#bytes;
  }

  /** RFC 9113, section 8.3.1. CONNECT, which has no scheme and no path, is not for us. */
  get isRequest(): boolean {
    return (
      !this.#malformed &&
      this.method !== undefined &&
      this.scheme !== undefined &&
      this.path !== undefined &&
      (this.path.startsWith('/') || (this.path === '*' && this.method === 'OPTIONS'))
    );
  }

  /** RFC 9113, section 8.1: trailers have no pseudo-field. */
  get isTrailers(): boolean {
    return !this.#malformed && !this.#hasPseudoField;
  }

  /**
   * The first value of a key. A `-bin` key gives bytes: its values are Base64, padded or not, and several may stand in one
   * field with commas between them (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Binary-Header").
   */
  get(name: string): string | Uint8Array | undefined {
    for (const field of this.#metadata) {
      if (field.name !== name) continue;
      if (!name.endsWith('-bin')) return field.value;
      const comma = field.value.indexOf(',');
      return Buffer.from(comma < 0 ? field.value : field.value.slice(0, comma), 'base64');
    }
    return undefined;
  }

  /** The keys of the application's metadata, each once. */
  keys(): Iterable<string> {
    return new Set(this.#metadata.map(({ name }) => name));
  }

  /** Section 8.3: once each, and before every other field. */
  #pseudo(before: string | undefined, value: string): string {
    this.#hasPseudoField = true;
    if (before !== undefined || this.#hasRegularField) this.#malformed = true;
    return value;
  }

  /** Section 8.1.1. */
  #length(value: string): void {
    const length = CONTENT_LENGTH.test(value) ? Number(value) : undefined;
    if (length === undefined || (this.contentLength !== undefined && this.contentLength !== length)) {
      this.#malformed = true;
    }
    this.contentLength = length;
  }

  #timeout(value: string): void {
    this.timeoutMs = this.#hasTimeout ? undefined : parseTimeoutMs(value);
    this.#hasTimeout = true;
  }
}
