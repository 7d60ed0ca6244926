/**
 * How soon callers come back whose requests a batch has answered. Clients in a closed loop send their next request as soon as they
 * have an answer: then as many requests arrive shortly after the end of a batch as it had, whatever their rows. With arrivals that do not
 * depend on answers that takes about as long as a batch does.
 */

/** Batches that are remembered. */
const BATCHES = 8;
/** How many of them may have been followed by fewer requests, or by late ones. */
const EXCEPTIONS = 1;

/** The callers of the last batch that are not back yet. */
export interface Returning {
  /** The requests of the batch were of this bucket. */
  readonly bucket: string;
  /** Rows that are still to come, if each has as many as before. */
  readonly rows: number;
  /** When the batch ended. */
  readonly sinceMs: number;
  /** After so many milliseconds the callers of nearly all recent batches were back. */
  readonly withinMs: number;
}

export class ReturningCallers {
  /** Times from the end of a batch until all of its callers were back; infinite where another batch ended before. */
  readonly #timesMs: number[] = [];
  #bucket = '';
  /** Callers of the last batch who are not back, and the rows that each had on average. */
  #away = 0;
  #rowsEach = 0;
  #endedMs = 0;

  /** A batch has ended, and its requests are answered. */
  ended(bucket: string, requests: number, rows: number, now: number): void {
    if (this.#away > 0) this.#learn(Number.POSITIVE_INFINITY);
    this.#bucket = bucket;
    this.#away = requests;
    this.#rowsEach = rows / requests;
    this.#endedMs = now;
  }

  /** A request has arrived. */
  arrived(bucket: string, now: number): void {
    if (this.#away === 0 || bucket !== this.#bucket) return;
    this.#away--;
    if (this.#away === 0) this.#learn(now - this.#endedMs);
  }

  /** `undefined` where all are back, or callers do not come back at once. */
  get returning(): Returning | undefined {
    if (this.#away === 0 || this.#timesMs.length < BATCHES) return undefined;
    const withinMs = [...this.#timesMs].sort((one, other) => one - other)[BATCHES - 1 - EXCEPTIONS];
    if (withinMs === undefined || withinMs === Number.POSITIVE_INFINITY) return undefined;
    const rows = Math.ceil(this.#away * this.#rowsEach);
    return { bucket: this.#bucket, rows, sinceMs: this.#endedMs, withinMs };
  }

  #learn(timeMs: number): void {
    this.#timesMs.push(timeMs);
    if (this.#timesMs.length > BATCHES) this.#timesMs.shift();
  }
}
