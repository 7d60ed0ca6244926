/** Why a stream ended before its answer was sent whole: the peer reset it, or the connection is gone. */
export type CutReason = 'client' | 'connection';

/**
 * An exchange on a stream: a request and its answer. It sees only this part of HTTP/2; it answers through its
 * `Http2Stream`. None of these throws.
 */
export interface Exchange {
  /** The next part of the request's body: `chunk[from, to)`. It does not change, and may be kept. */
  receive(chunk: Buffer, from: number, to: number): void;
  /** Bytes of the budget of incoming requests that it holds. */
  readonly heldBytes: number;
  /** How long the peer may still keep it waiting, in milliseconds; `Infinity` where nothing is expected of the peer. */
  readonly patienceMs: number;
  /** Judges the pace of the request: to be called about once a second. */
  look(elapsedMs: number): void;
  /**
   * Ends the exchange, because others need the room that it holds. It gives that room back before this returns: as long as there
   * is too little room, further exchanges are evicted.
   */
  evict(): void;
  /** It is work for its client: to answer it earns the client an allowance. */
  readonly isWork: boolean;
  /** Cost for the client to reset the call now, relative to a call that was only opened to be reset. */
  readonly resetCost: number;
  /** The received bytes end inside a message, or are of no use. */
  readonly isInside: boolean;
  receiveEnd(): void;
  /**
   * How many bytes the peer shall be able to send now.
   * @param window what it may send ahead of anything that is known of
   */
  wanted(window: number): number;
  /** There is room again for what the stream sends. */
  drained(): void;
  /** The server ends, and cannot wait for the answer. */
  abandon(): void;
  /**
   * The stream is over; nothing else is called after it.
   * @param reason why it ended before the answer was sent whole; `undefined` where it was
   */
  over(reason: CutReason | undefined): void;
}
