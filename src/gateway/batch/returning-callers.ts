/**
 * How soon callers come back whose requests a batch has answered. Clients in a closed loop send their next request as soon as they
 * have an answer: then as many rows arrive shortly after the end of a batch as it had. With arrivals that do not depend on answers
 * that takes about as long as a batch does.
 */

/** Batches that are remembered. */
const BATCHES = 8;
/** How many of them may have been followed by fewer rows, or by late ones. */
const EXCEPTIONS = 1;

/** The callers of the last batch that are not back yet. */
export interface Returning {
  /** The requests of the batch were of this bucket. */
  readonly bucket: string;
  /** Rows that are still to come. */
  readonly rows: number;
  /** When the batch ended. */
  readonly sinceMs: number;
  /** After so many milliseconds the rows of nearly all recent batches were back. */
  readonly withinMs: number;
}

export class ReturningCallers {
  /** Times from the end of a batch until all of its rows were back; infinite where another batch ended before. */
  readonly #timesMs: number[] = [];
  #bucket = '';
  /** Rows of the last batch that are not back. */
  #rows = 0;
  #endedMs = 0;

  /** A batch has ended, and its requests are answered. */
  ended(bucket: string, rows: number, now: number): void {
    if (this.#rows > 0) this.#learn(Number.POSITIVE_INFINITY);
    this.#bucket = bucket;
    this.#rows = rows;
    this.#endedMs = now;
  }

  arrived(bucket: string, rows: number, now: number): void {
    if (this.#rows <= 0 || bucket !== this.#bucket) return;
    this.#rows -= rows;
    if (this.#rows <= 0) this.#learn(now - this.#endedMs);
  }

  /** `undefined` where all are back, or callers do not come back at once. */
  get returning(): Returning | undefined {
    if (this.#rows <= 0 || this.#timesMs.length < BATCHES) return undefined;
    const withinMs = [...this.#timesMs].sort((one, other) => one - other)[BATCHES - 1 - EXCEPTIONS];
    if (withinMs === undefined || withinMs === Number.POSITIVE_INFINITY) return undefined;
    return { bucket: this.#bucket, rows: this.#rows, sinceMs: this.#endedMs, withinMs };
  }

  #learn(timeMs: number): void {
    this.#timesMs.push(timeMs);
    if (this.#timesMs.length > BATCHES) this.#timesMs.shift();
  }
}
