/**
 * A header field of a request. What is to be known of it is found out once, when it is made, and not at each use of a
 * table entry.
 */

/** What a field means to the transport. */
export const FieldKind = {
  /** Metadata of the application. */
  METADATA: 0,
  METHOD: 1,
  SCHEME: 2,
  PATH: 3,
  AUTHORITY: 4,
  CONTENT_TYPE: 5,
  CONTENT_LENGTH: 6,
  TIMEOUT: 7,
  ENCODING: 8,
  /** Of the protocol, and of no use here: `te: trailers` and what the client accepts in answers. */
  PROTOCOL: 9,
  /** A request that has it is malformed (RFC 9113, section 8.2 and 8.3). */
  MALFORMED: 10,
} as const;

export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

const KINDS = new Map<string, FieldKind>([
  [':method', FieldKind.METHOD],
  [':scheme', FieldKind.SCHEME],
  [':path', FieldKind.PATH],
  [':authority', FieldKind.AUTHORITY],
  ['content-type', FieldKind.CONTENT_TYPE],
  ['content-length', FieldKind.CONTENT_LENGTH],
  ['grpc-timeout', FieldKind.TIMEOUT],
  ['grpc-encoding', FieldKind.ENCODING],
  ['te', FieldKind.PROTOCOL],
  ['grpc-accept-encoding', FieldKind.PROTOCOL],
  ['accept-encoding', FieldKind.PROTOCOL],
  // Of a connection, which HTTP/2 has no fields for (section 8.2.2).
  ['connection', FieldKind.MALFORMED],
  ['keep-alive', FieldKind.MALFORMED],
  ['proxy-connection', FieldKind.MALFORMED],
  ['transfer-encoding', FieldKind.MALFORMED],
  ['upgrade', FieldKind.MALFORMED],
]);

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

  constructor(name: string, value: string) {
    this.name = name;
    this.value = value;
    this.kind = kindOf(name, value);
    this.size = name.length + value.length + FIELD_OVERHEAD_BYTES;
  }
}

function kindOf(name: string, value: string): FieldKind {
  if (!NAME.test(name) || FORBIDDEN_IN_VALUE.test(value)) return FieldKind.MALFORMED;
  const kind = KINDS.get(name);
  if (kind === undefined) return name.startsWith(':') ? FieldKind.MALFORMED : FieldKind.METADATA;
  // Section 8.2.2.
  return name === 'te' && value !== 'trailers' ? FieldKind.MALFORMED : kind;
}
