/**
 * How long an answer takes from here to its caller, measured for each connection.
 *
 * It adds a PING's round trip and the time that the socket takes for written data. The whole round trip counts, not half: a
 * client sends its timeout with the request, so the deadline here is later than the client's by the way of the request. The
 * event loops of both ends are included, as they are for an answer.
 */

/** Until something was measured: a network within one data centre, or a client on the same machine. */
const GUESS_MS = 1;
/** Encoding and a turn of the event loop, which no PING sees. */
const FLOOR_MS = 0.5;
/** At a sample a second, a slower line is known after three seconds. */
const SAMPLES = 10;

export class WayBack {
  /** Milliseconds from an answer to its caller: high, but not the worst that was seen. */
  ms = GUESS_MS;
  readonly #samples = new Float64Array(SAMPLES).fill(GUESS_MS);
  #next = 0;
  /** The longest that the socket was full since the last sample. */
  #blockedMs = 0;

  /** The socket needed `ms` to take the written data. */
  blocked(ms: number): void {
    this.#blockedMs = Math.max(this.#blockedMs, ms);
  }

  /** Takes a sample. @param roundTripMs of a PING; 0 where the peer cannot be asked, and only the socket counts */
  observe(roundTripMs: number): void {
    this.#samples[this.#next] = roundTripMs + this.#blockedMs;
    this.#next = (this.#next + 1) % SAMPLES;
    this.#blockedMs = 0;
    // A peer that stalled once or twice is no slow peer.
    this.ms = Math.max(FLOOR_MS, thirdLargest(this.#samples));
  }
}

/** Not by sorting: each answer over HTTP/1 is a sample. */
function thirdLargest(values: Float64Array): number {
  let first = 0;
  let second = 0;
  let third = 0;
  for (const value of values) {
    if (value <= third) continue;
    third = value > second ? second : value;
    if (value > second) second = value > first ? first : value;
    if (value > first) first = value;
  }
  return third;
}
