/**
 * Whether bytes move fast enough. A peer has `graceMs` of slack; bytes below the rate use it up, bytes above it restore it.
 * A byte now and then therefore keeps nothing alive, and a line that is slow for a moment harms no one.
 */
export class Pace {
  readonly #graceMs: number;
  readonly #bytesPerMs: number;
  #bytes: number;
  #lateAt: number;

  /** @param bytes that have moved when it begins */
  constructor(graceMs: number, bytesPerSecond: number, bytes: number, now: number) {
    this.#graceMs = graceMs;
    this.#bytesPerMs = bytesPerSecond / 1_000;
    this.#bytes = bytes;
    this.#lateAt = now + graceMs;
  }

  /** @param bytes that have moved until `now` */
  isLate(bytes: number, now: number): boolean {
    const earnedMs = (bytes - this.#bytes) / this.#bytesPerMs;
    this.#bytes = bytes;
    this.#lateAt = Math.min(now + this.#graceMs, this.#lateAt + earnedMs);
    return now > this.#lateAt;
  }

  /** The peer is not to blame for the time until `now`. */
  excuse(now: number): void {
    this.#lateAt = now + this.#graceMs;
  }
}
