/** The head of a request, built field by field. It does not change once it is complete: equal blocks share one. */

import { FieldKind, type HeaderField } from './header-field.ts';

const CONTENT_LENGTH = /^\d{1,15}$/;

export class RequestHead {
  method: string | undefined = undefined;
  scheme: string | undefined = undefined;
  path: string | undefined = undefined;
  authority: string | undefined = undefined;
  contentType: string | undefined = undefined;
  contentLength: number | undefined = undefined;
  /** The list is longer than the limit: not all of it is here. */
  tooLarge = false;

  readonly #maxBytes: number;
  readonly #metadata: HeaderField[] = [];
  #bytes = 0;
  #malformed = false;
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
      case FieldKind.OWN:
        this.own(field);
        break;
      case FieldKind.HTTP:
        break;
      case FieldKind.MALFORMED:
        this.#malformed = true;
        break;
    }
    this.#hasRegularField = true;
  }

  /** Takes a field of the protocol over HTTP/2 (`fieldKinds`), for a class of its heads. */
  protected own(_field: HeaderField): void {}

  /** Size of its header list, counted as in RFC 9113, section 6.5.2. */
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
   * The first value of a field, by its name in lower case. Pseudo-fields, `content-type`, `content-length`, fields of HTTP
   * itself and of the protocol are not among them.
   */
  get(name: string): string | undefined {
    for (const field of this.#metadata) if (field.name === name) return field.value;
    return undefined;
  }

  /** The names of the fields that `get` finds, each once. */
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
}
