/**
 * How much one peer, and all peers together, may take. Each limit is a setting of the server, named `http2` and its name here;
 * `maxConcurrentStreams` and `maxMessageBytes` come with the call's seam.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
/** A window of flow control is never smaller than HTTP/2 begins with, nor larger than it counts (RFC 9113, section 6.9.1). */
const WINDOW = { minimum: 65_535, maximum: 2 ** 31 - 1 } as const;
/** What the timers of Node take. */
const DURATION_MS = { minimum: 1, maximum: 2 ** 31 - 1 } as const;

export interface Http2Limit {
  readonly default: number;
  readonly minimum: number;
  readonly maximum?: number;
  /** What it bounds, what happens there, and why its default is what it is. */
  readonly description: string;
}

export const HTTP2_LIMITS = {
  maxConnections: {
    default: 10_000,
    minimum: 1,
    description:
      'Connections; the next one is closed at once. Each costs a file descriptor and, while it is idle, some 20 KiB. Unless given, fewer where there are few open files.',
  },
  maxConnectionsPerAddress: {
    default: 2_500,
    minimum: 1,
    description:
      'Connections of one address, so that one peer cannot take all; the next one is closed at once. Behind a proxy all callers have its address. Unless given, half of `http2MaxConnections` where that is less.',
  },
  handshakeMs: {
    default: 10_000,
    ...DURATION_MS,
    description:
      'Time for a TLS handshake, again for the first SETTINGS, and for a header block or a frame other than DATA that has begun. A handshake over a slow satellite takes two seconds.',
  },
  maxHeaderListBytes: {
    default: 64 * KIB,
    minimum: 4 * KIB,
    maximum: 16 * MIB,
    description:
      'Metadata of a call, decoded, counted as RFC 9113, section 6.5.2 does; above it the call is RESOURCE_EXHAUSTED. What Node takes, and so grpc-js.',
  },
  maxHeaderBlockBytes: {
    default: 64 * KIB,
    minimum: 4 * KIB,
    maximum: 16 * MIB,
    description:
      'A header block as it is sent, over all its frames; above it the connection ends, because every block has to be decoded to its end.',
  },
  maxContinuations: {
    default: 16,
    minimum: 1,
    description:
      'CONTINUATION frames of a header block, above which the connection ends. 64 KiB are four full frames; some peers send smaller ones.',
  },
  streamWindowBytes: {
    default: MIB,
    ...WINDOW,
    description:
      'What a call may send ahead of what its message needs. Most messages come whole without a WINDOW_UPDATE; of a longer one the window grows with the message.',
  },
  connectionWindowBytes: {
    default: 16 * MIB,
    ...WINDOW,
    description: 'What all calls of a connection together may send ahead. 16 MiB in 10 ms are more than 10 Gbit/s.',
  },
  maxIncomingBytes: {
    default: 512 * MIB,
    minimum: 64 * KIB,
    description:
      'Bytes that the calls of one connection hold: metadata and 2 KiB each until they end, and messages that are not complete or wait to be read. Room is kept ahead for announced bytes only while half is free; above seven eighths a message of more than 64 KiB is RESOURCE_EXHAUSTED; a smaller call finds room, because the request that has stood still for longest ends instead. A sidecar has all its callers on one connection: a hundred messages of 4 MiB at a time. Unless given, half of `http2MaxIncomingBytesInAll` where that is less.',
  },
  maxIncomingBytesInAll: {
    default: 1024 * MIB,
    minimum: 64 * KIB,
    description:
      'The same for all connections together. Where it is used up, the connection that holds most gives way, of the address that holds most. Unless given, a tenth of the memory where that is less.',
  },
  messageGraceMs: {
    default: 5_000,
    ...DURATION_MS,
    description:
      'How long a request may stand still, or lag behind `http2MinBytesPerSecond`, whatever its length and deadline. Then its call is RESOURCE_EXHAUSTED and gives its room back. A unary request is judged from its headers to its end, a stream while a message is under way. Judged once a second.',
  },
  minBytesPerSecond: {
    default: 16 * KIB,
    minimum: 1,
    description:
      'The slowest pace of a request that is not complete, in bytes per second: 128 kbit/s, less than any line over which tensors are sent on purpose.',
  },
  maxUnreadBytes: {
    default: 256 * MIB,
    minimum: 64 * KIB,
    description:
      'Answers that one connection has not taken; above it answers become RESOURCE_EXHAUSTED, and above half of it new calls are refused. 400 answers of 602 KB. Unless given, half of `http2MaxUnreadBytesInAll` where that is less.',
  },
  maxUnreadBytesInAll: {
    default: 512 * MIB,
    minimum: 64 * KIB,
    description:
      'The same, of all connections together; above it the connection that has most of them is ended. Unless given, a tenth of the memory where that is less.',
  },
  stallMs: {
    default: 60_000,
    ...DURATION_MS,
    description:
      'Time in which a connection has to take what was written to it, which is half a MiB at most: 9 KB/s. Then it is closed.',
  },
  controlBurst: {
    default: 2_000,
    minimum: 10,
    description:
      'Frames that bring nothing (PING, SETTINGS, PRIORITY, empty or tiny DATA, tiny WINDOW_UPDATE, unknown ones) that a connection may send at once; messages that it is sent earn them back. Then it is ended with ENHANCE_YOUR_CALM.',
  },
  controlPerSecond: {
    default: 200,
    minimum: 1,
    description: 'How many of those it earns each second: gRPC clients send one PING in ten seconds at most.',
  },
  resetBurst: {
    default: 1_000,
    minimum: 1,
    description:
      'Calls younger than a second that a connection may reset at once; answered calls earn them back, up to ten bursts. Beyond, its calls are RESOURCE_EXHAUSTED until a second has passed; calls whose deadline has passed are free. The connection ends with ENHANCE_YOUR_CALM where its client goes on to reset calls that were refused, or makes as many errors on streams, or opens as many calls above `maxConcurrentStreams`. As many as may be open by default.',
  },
  resetsPerSecond: {
    default: 200,
    minimum: 1,
    description: 'How many resets a connection earns each second.',
  },
  keepaliveMs: {
    default: 60_000,
    ...DURATION_MS,
    description: 'After so long a silence of a connection a PING asks whether anybody is there.',
  },
  keepaliveTimeoutMs: {
    default: 20_000,
    ...DURATION_MS,
    description: 'How long the answer to that is waited for, before the connection is closed.',
  },
  maxAgeMs: {
    default: 60 * 60_000,
    ...DURATION_MS,
    description:
      'Age at which a connection is told to go (GOAWAY), give or take a tenth: connections are renewed, so that new replicas get their share.',
  },
  ageGraceMs: {
    default: 10 * 60_000,
    ...DURATION_MS,
    description: 'How long the calls of a connection that was told to go may take to end.',
  },
} as const satisfies Record<string, Http2Limit>;

export type Http2LimitName = keyof typeof HTTP2_LIMITS;
export type Http2Limits = Readonly<Record<Http2LimitName, number>>;

export const DEFAULT_LIMITS = Object.fromEntries(
  Object.entries(HTTP2_LIMITS).map(([name, limit]) => [name, limit.default]),
) as Http2Limits;

/** The name of the setting of a limit, such as `http2MaxConnections`. */
export type Http2SettingName = `http2${Capitalize<Http2LimitName>}`;

export function http2SettingName(name: Http2LimitName): Http2SettingName {
  return `http2${name.charAt(0).toUpperCase()}${name.slice(1)}` as Http2SettingName;
}
