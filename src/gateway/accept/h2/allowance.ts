/**
 * A token bucket against floods: what brings nothing spends, time and answered calls earn.
 *
 * HTTP/2 lets a peer send frames that cost it a few bytes and us some work, and of which a few are legitimate: PING,
 * SETTINGS, PRIORITY, empty DATA, tiny WINDOW_UPDATE, RST_STREAM (RFC 9113, section 10.5).
 */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at = 0;

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  earn(tokens: number): void {
    this.#left = Math.min(this.#burst, this.#left + tokens);
  }

  /**
   * @param now of a clock that never goes back, in milliseconds; a coarse one will do
   * @returns false: the peer has gone too far
   */
  spend(tokens: number, now: number): boolean {
    if (now > this.#at) {
      this.earn(((now - this.#at) / 1_000) * this.#perSecond);
      this.#at = now;
    }
    this.#left -= tokens;
    return this.#left >= 0;
  }
}
