/**
 * A token bucket against floods: what brings nothing spends, time and answered calls earn.
 *
 * HTTP/2 lets a peer send frames that cost the peer a few bytes and us some work, a few of them legitimately: PING,
 * SETTINGS, PRIORITY, empty DATA, tiny WINDOW_UPDATE, RST_STREAM (RFC 9113, section 10.5).
 */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #most: number;
  #left: number;
  #at = 0;

  /**
   * @param burst tokens at first, and the most that time earns
   * @param most what a peer may save by work, in tokens
   */
  constructor(burst: number, perSecond: number, most = burst) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#most = most;
    this.#left = burst;
  }

  earn(tokens: number): void {
    this.#left = Math.min(this.#most, this.#left + tokens);
  }

  /** Whether more was spent than there was. */
  isOverdrawn(now: number): boolean {
    this.#earnByTime(now);
    return this.#left < 0;
  }

  /**
   * @param now of a clock that never goes back, in milliseconds; a coarse one will do
   * @returns false if the peer has gone too far; each second earns the debt back
   */
  spend(tokens: number, now: number): boolean {
    this.#earnByTime(now);
    this.#left = Math.max(-this.#perSecond, this.#left - tokens);
    return this.#left >= 0;
  }

  #earnByTime(now: number): void {
    if (now <= this.#at) return;
    const earned = ((now - this.#at) / 1_000) * this.#perSecond;
    this.#at = now;
    if (this.#left < this.#burst) this.#left = Math.min(this.#burst, this.#left + earned);
  }
}
