/**
 * Makes the header blocks of the answers on one connection. The protocol over HTTP/2 does it, because only it knows which
 * fields come again and may be kept. Blocks are made in the order in which they are sent: the peer's table follows them.
 */
export interface ResponseHeaders {
  /** The peer has announced the size of its table (RFC 7541, section 4.2). */
  setTableSize(bytes: number): void;
  head(): Buffer;
  /**
   * The last block of an answer.
   * @param end what the exchange gave to `Http2Stream.sendEnd`
   * @param isTrailersOnly nothing was sent before: the block holds the head, too
   * @param maxListBytes what the peer takes (SETTINGS_MAX_HEADER_LIST_SIZE)
   * @returns bytes that may change with the next block
   */
  trailers(end: object, isTrailersOnly: boolean, maxListBytes: number): Buffer;
  /** The head of an answer that is a text, and ends without trailers. */
  plain(httpStatus: number): Buffer;
}
