/** The numbers of HTTP/2 frames. */

/** RFC 9113, section 6. */
export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** Flags of the frames above; END_STREAM and ACK are one bit, and never of one type. */
export const Flag = { END_STREAM: 0x1, ACK: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

/** RFC 9113, section 4.1. */
export const FRAME_HEADER_BYTES = 9;

/** The smallest legal maximum (RFC 9113, section 4.2), used here as the maximum: larger frames saved nothing measurable. */
export const MIN_MAX_FRAME_BYTES = 16_384;
export const MAX_MAX_FRAME_BYTES = 16_777_215;

/** RFC 9113, section 6.9.1. */
export const MAX_WINDOW_BYTES = 2 ** 31 - 1;
/** Initial window of every stream and connection (RFC 9113, section 6.9.2). */
export const INITIAL_WINDOW_BYTES = 65_535;

/** First bytes of a client (RFC 9113, section 3.4). */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** The 31 bits of a stream or an increment: the bit before them is reserved, and to be ignored (RFC 9113, section 4.1). */
export function readUint31(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] ?? 0) & 0x7f) << 24;
  return high | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
}
