/**
 * How much one peer, and all peers together, may take. Beside these limits `Http2Server` takes `maxConcurrentStreams`. The gateway
 * has a setting for each, named `http2` and its name here; descriptions use those names.
 */

import { INITIAL_WINDOW_BYTES, MAX_WINDOW_BYTES } from './frame.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** A window of flow control is never smaller than HTTP/2 begins with, nor larger than it counts (RFC 9113, section 6.9.1). */
const WINDOW = { minimum: INITIAL_WINDOW_BYTES, maximum: MAX_WINDOW_BYTES } as const;
/** Range of Node's timers. */
const DURATION_MS = { minimum: 1, maximum: 2 ** 31 - 1 } as const;

export interface Limit {
  readonly default: number;
  readonly minimum: number;
  readonly maximum?: number;
  /** The resource that it bounds, the effect at the limit, and the reason for the default. */
  readonly description: string;
}

export const HTTP2_LIMITS = {
  maxConnections: {
    default: 10_000,
    minimum: 1,
    description:
      'Maximum number of connections; further ones are closed at once. An idle connection costs a file descriptor and about 20 KiB. If not set, fewer when the limit of open files is low.',
  },
  maxConnectionsPerAddress: {
    default: 2_500,
    minimum: 1,
    description:
      'Maximum number of connections per address; further ones are closed at once. It keeps one peer from taking all of them. Behind a proxy, all callers share its address. If not set, at most half of `http2MaxConnections`.',
  },
  handshakeMs: {
    default: 10_000,
    ...DURATION_MS,
    description:
      'Time limit for the TLS handshake, then for the first SETTINGS, and for completing a header block or a frame other than DATA. A handshake over a slow satellite takes two seconds.',
  },
  maxHeaderListBytes: {
    default: 64 * KIB,
    minimum: 4 * KIB,
    maximum: 16 * MIB,
    description:
      'Maximum size of the decoded metadata of a call, counted as in RFC 9113, section 6.5.2. A call above it fails with RESOURCE_EXHAUSTED. Node and grpc-js have the same limit.',
  },
  maxHeaderBlockBytes: {
    default: 64 * KIB,
    minimum: 4 * KIB,
    maximum: 16 * MIB,
    description:
      'Maximum size of an encoded header block over all its frames. Above it the connection is closed, because every block has to be decoded completely.',
  },
  maxContinuations: {
    default: 16,
    minimum: 1,
    description:
      'Maximum number of CONTINUATION frames per header block; above it the connection is closed. 64 KiB fill four frames; some peers send smaller ones.',
  },
  streamWindowBytes: {
    default: MIB,
    ...WINDOW,
    description:
      'Bytes that a call may send before flow control makes it wait. Most messages fit without a WINDOW_UPDATE; for a longer message the window grows.',
  },
  connectionWindowBytes: {
    default: 16 * MIB,
    ...WINDOW,
    description:
      'Bytes that all calls of a connection together may send before flow control makes them wait. 16 MiB per 10 ms exceed 10 Gbit/s.',
  },
  maxIncomingBytes: {
    default: 512 * MIB,
    minimum: 64 * KIB,
    description:
      'Bytes that the calls of one connection may hold: metadata plus 2 KiB per open call, and messages that are incomplete or unread. Announced bytes are reserved ahead only while half is free. Above seven eighths, a message of more than 64 KiB fails with RESOURCE_EXHAUSTED; for a smaller one, the request that has made no progress for longest ends instead. A sidecar sends all its callers over one connection: a hundred messages of 4 MiB fit. If not set, at most half of `http2MaxIncomingBytesInAll`.',
  },
  maxIncomingBytesInAll: {
    default: 1024 * MIB,
    minimum: 64 * KIB,
    description:
      'The same limit for all connections together. At the limit, the address that holds most gives way, with its largest connection first. If not set, at most a tenth of the memory.',
  },
  messageGraceMs: {
    default: 5_000,
    ...DURATION_MS,
    description:
      'Time that a request may make no progress, or stay slower than `http2MinBytesPerSecond`, whatever its length and deadline. After it the call fails with RESOURCE_EXHAUSTED and its memory is freed. Unary requests count from their headers to their end, streams while a message is incomplete. Checked once a second.',
  },
  minBytesPerSecond: {
    default: 16 * KIB,
    minimum: 1,
    description:
      'Minimum rate of an incomplete request, in bytes per second. 128 kbit/s is slower than any line chosen for sending tensors.',
  },
  maxUnreadBytes: {
    default: 256 * MIB,
    minimum: 64 * KIB,
    description:
      'Bytes of responses that one connection has not read yet. Above it, responses become RESOURCE_EXHAUSTED; above half of it, new calls are refused. Room for 400 responses of 602 KB. If not set, at most half of `http2MaxUnreadBytesInAll`.',
  },
  maxUnreadBytesInAll: {
    default: 512 * MIB,
    minimum: 64 * KIB,
    description:
      'The same limit for all connections together; above it the connection that holds most is closed. If not set, at most a tenth of the memory.',
  },
  stallMs: {
    default: 60_000,
    ...DURATION_MS,
    description:
      'Time in which a connection must read the data already written to it, at most half a MiB (9 KB/s). After it the connection is closed.',
  },
  controlBurst: {
    default: 2_000,
    minimum: 10,
    description:
      'Frames without payload that a connection may send at once: PING, SETTINGS, PRIORITY, empty or tiny DATA, tiny WINDOW_UPDATE, unknown ones. Messages that the server sends earn them back. Above it the connection is closed with ENHANCE_YOUR_CALM.',
  },
  controlPerSecond: {
    default: 200,
    minimum: 1,
    description:
      'Frames without payload that a connection earns per second. gRPC clients send at most one PING in ten seconds.',
  },
  resetBurst: {
    default: 1_000,
    minimum: 1,
    description:
      'Calls younger than a second that a connection may reset at once. Answered calls earn resets back, up to ten bursts; resets of expired calls are free. Above it, calls of the connection fail with RESOURCE_EXHAUSTED for a second. The connection is closed with ENHANCE_YOUR_CALM when the client keeps resetting refused calls, causes as many stream errors, or opens as many calls above `maxConcurrentStreams`. By default as many as `maxConcurrentStreams`.',
  },
  resetsPerSecond: {
    default: 200,
    minimum: 1,
    description: 'Resets that a connection earns per second.',
  },
  keepaliveMs: {
    default: 60_000,
    ...DURATION_MS,
    description: 'Time without a byte from the client after which the server sends a PING.',
  },
  keepaliveTimeoutMs: {
    default: 20_000,
    ...DURATION_MS,
    description: 'Time to wait for the answer to that PING before the connection is closed.',
  },
  maxAgeMs: {
    default: 60 * 60_000,
    ...DURATION_MS,
    description:
      'Age at which a connection gets a GOAWAY, give or take a tenth. Clients then reconnect, so that new replicas get their share.',
  },
  ageGraceMs: {
    default: 10 * 60_000,
    ...DURATION_MS,
    description: 'Time that open calls have to end after that GOAWAY.',
  },
} as const satisfies Record<string, Limit>;

export type Http2LimitName = keyof typeof HTTP2_LIMITS;

/** The limits of this table, and the limit that a server takes beside them. */
export type LimitName = Http2LimitName | 'maxConcurrentStreams';

/** Is called whenever a limit refuses, ends or closes something. */
export interface LimitListener {
  limitReached(name: LimitName): void;
}

export type Http2Limits = Readonly<Record<Http2LimitName, number>>;

export const DEFAULT_LIMITS = Object.fromEntries(
  Object.entries(HTTP2_LIMITS).map(([name, limit]) => [name, limit.default]),
) as Http2Limits;
