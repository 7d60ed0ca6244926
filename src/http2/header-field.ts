/**
 * A header field of a request. It is classified once, when it is created, and not at each use of a table entry.
 */

export const FieldKind = {
  /** Anything else: `RequestHead.get` finds it. */
  METADATA: 0,
  METHOD: 1,
  SCHEME: 2,
  PATH: 3,
  AUTHORITY: 4,
  CONTENT_TYPE: 5,
  CONTENT_LENGTH: 6,
  /** Fields of HTTP without use here: `te: trailers` and the encodings that the client accepts. */
  HTTP: 7,
  /** Fields of the protocol over HTTP/2: `RequestHead.own` gets them. */
  OWN: 8,
  /** A request that has it is malformed (RFC 9113, section 8.2 and 8.3). */
  MALFORMED: 9,
} as const;

export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

export type FieldKinds = ReadonlyMap<string, FieldKind>;

export const HTTP_FIELD_KINDS: FieldKinds = new Map<string, FieldKind>([
  [':method', FieldKind.METHOD],
  [':scheme', FieldKind.SCHEME],
  [':path', FieldKind.PATH],
  [':authority', FieldKind.AUTHORITY],
  ['content-type', FieldKind.CONTENT_TYPE],
  ['content-length', FieldKind.CONTENT_LENGTH],
  ['te', FieldKind.HTTP],
  ['accept-encoding', FieldKind.HTTP],
  // Connection-specific fields do not exist in HTTP/2 (section 8.2.2).
  ['connection', FieldKind.MALFORMED],
  ['keep-alive', FieldKind.MALFORMED],
  ['proxy-connection', FieldKind.MALFORMED],
  ['transfer-encoding', FieldKind.MALFORMED],
  ['upgrade', FieldKind.MALFORMED],
]);

/** The kinds of HTTP's fields, and of a protocol's own fields with these names. */
export function fieldKinds(ownNames: readonly string[]): FieldKinds {
  return new Map([...HTTP_FIELD_KINDS, ...ownNames.map((name) => [name, FieldKind.OWN] as const)]);
}

/** A token in lower case (section 8.2.1), or a pseudo-field. */
const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Section 8.2.1. */
const FORBIDDEN_IN_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/** RFC 7541, section 4.1. */
const FIELD_OVERHEAD_BYTES = 32;

export class HeaderField {
  readonly name: string;
  /** Latin-1: a character a byte. */
  readonly value: string;
  readonly kind: FieldKind;
  /** As the tables of HPACK and SETTINGS_MAX_HEADER_LIST_SIZE count it. */
  readonly size: number;

  constructor(name: string, value: string, kinds: FieldKinds = HTTP_FIELD_KINDS) {
    this.name = name;
    this.value = value;
    this.kind = kindOf(name, value, kinds);
    this.size = name.length + value.length + FIELD_OVERHEAD_BYTES;
  }
}

function kindOf(name: string, value: string, kinds: FieldKinds): FieldKind {
  if (!NAME.test(name) || FORBIDDEN_IN_VALUE.test(value)) return FieldKind.MALFORMED;
  const kind = kinds.get(name);
  if (kind === undefined) return name.startsWith(':') ? FieldKind.MALFORMED : FieldKind.METADATA;
  // Section 8.2.2.
  return name === 'te' && value !== 'trailers' ? FieldKind.MALFORMED : kind;
}
