/** Whether bytes move fast enough, over HTTP/2 and HTTP/1 alike. */

export interface PaceLimits {
  /** How long a peer may lag behind, in milliseconds. */
  readonly graceMs: number;
  readonly minBytesPerSecond: number;
}

/**
 * How long a peer may still lag behind the slowest pace, in milliseconds: time spends it, bytes that move earn it back. A byte
 * now and then therefore keeps nothing alive, and a line that is slow for a moment harms no one.
 */
export function patienceAfter(
  patienceMs: number,
  { bytes, elapsedMs }: { readonly bytes: number; readonly elapsedMs: number },
  { graceMs, minBytesPerSecond }: PaceLimits,
): number {
  return Math.min(graceMs, patienceMs - elapsedMs + (bytes / minBytesPerSecond) * 1_000);
}

/** The pace of one transfer, which is late when the patience with it is used up. */
export class Pace {
  readonly #limits: PaceLimits;
  #patienceMs: number;
  #bytes: number;
  #at: number;

  /** @param bytes that have moved when it begins */
  constructor(limits: PaceLimits, bytes: number, now: number) {
    this.#limits = limits;
    this.#patienceMs = limits.graceMs;
    this.#bytes = bytes;
    this.#at = now;
  }

  /** @param bytes that have moved until `now` */
  isLate(bytes: number, now: number): boolean {
    const moved = { bytes: bytes - this.#bytes, elapsedMs: now - this.#at };
    this.#patienceMs = patienceAfter(this.#patienceMs, moved, this.#limits);
    this.#bytes = bytes;
    this.#at = now;
    return this.#patienceMs < 0;
  }

  /** The peer is not to blame for the time until `now`. */
  excuse(now: number): void {
    this.#patienceMs = this.#limits.graceMs;
    this.#at = now;
  }
}
