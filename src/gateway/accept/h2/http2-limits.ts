/** How much one peer, and all peers together, may take. `maxConcurrentStreams` and `maxMessageBytes` come with the call's seam. */

const KIB = 1024;
const MIB = 1024 * KIB;

export interface Http2Limits {
  /** Sockets; the next one is closed at once. */
  readonly maxConnections: number;
  /** From the first byte to the client's SETTINGS, and for a TLS handshake, in milliseconds. */
  readonly handshakeMs: number;

  /** A decoded header list, counted as RFC 9113, section 6.5.2 does. Above it a call is RESOURCE_EXHAUSTED. */
  readonly maxHeaderListBytes: number;
  /** A header block as it is sent, over all its frames. Above it the connection ends: decoding has to go on to the last byte. */
  readonly maxHeaderBlockBytes: number;
  /** CONTINUATION frames of a header block. */
  readonly maxContinuations: number;

  /** What a stream may send ahead of what its message needs; at least 65,535. */
  readonly streamWindowBytes: number;
  /** What all streams of a connection together may send ahead; at least 65,535. */
  readonly connectionWindowBytes: number;

  /** Requests of one connection that are not complete or wait to be read, by the length that they announced. */
  readonly maxIncomingBytes: number;
  /** The same, of all connections. */
  readonly maxIncomingBytesInAll: number;
  /** Answers that one connection has not taken. Above it answers become RESOURCE_EXHAUSTED; above half of it new streams are refused. */
  readonly maxUnreadBytes: number;
  /** The same, of all connections. Above it the connection that has most of them is ended. */
  readonly maxUnreadBytesInAll: number;
  /** A socket that took nothing for so long, though there was something, is closed. In milliseconds. */
  readonly stallMs: number;

  /** Frames that bring nothing (see Allowance): how many at once, and how many a second. */
  readonly controlBurst: number;
  readonly controlPerSecond: number;
  /** Streams that end by RST_STREAM, of either side, before they have paid for themselves. */
  readonly resetBurst: number;
  readonly resetsPerSecond: number;

  /** After so long a silence a PING is sent, and then its answer waited for. In milliseconds. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Age at which a connection is told to go, give or take a tenth; then its calls have the grace to end. In milliseconds. */
  readonly maxAgeMs: number;
  readonly ageGraceMs: number;
}

export const DEFAULT_LIMITS: Http2Limits = {
  // Each costs a file descriptor and some 20 KiB.
  maxConnections: 10_000,
  // A whole handshake over a slow satellite takes two seconds.
  handshakeMs: 10_000,

  // What Node, and so grpc-js, takes.
  maxHeaderListBytes: 64 * KIB,
  maxHeaderBlockBytes: 64 * KIB,
  // 64 KiB are four full frames; some peers send smaller ones.
  maxContinuations: 16,

  // Most messages come whole without a WINDOW_UPDATE; of a longer one the window grows with the message.
  streamWindowBytes: MIB,
  // 16 MiB in 10 ms are more than 10 Gbit/s.
  connectionWindowBytes: 16 * MIB,

  // A sidecar has all its callers on one connection: a hundred messages of 4 MiB at a time.
  maxIncomingBytes: 512 * MIB,
  maxIncomingBytesInAll: 1024 * MIB,
  // 400 answers of 602 KB.
  maxUnreadBytes: 256 * MIB,
  maxUnreadBytesInAll: 512 * MIB,
  // Half a MiB, which is one write, in a minute: 9 KB/s.
  stallMs: 60_000,

  controlBurst: 2_000,
  controlPerSecond: 200,
  resetBurst: 1_000,
  resetsPerSecond: 200,

  // A peer that is gone without a word is noticed within 80 s.
  keepaliveMs: 60_000,
  keepaliveTimeoutMs: 20_000,
  // Connections are renewed, so that new replicas get their share.
  maxAgeMs: 60 * 60_000,
  ageGraceMs: 10 * 60_000,
};
