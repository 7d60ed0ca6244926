/** How often something may be done in one turn of the event loop, by all callers together. */
export class TurnAllowance {
  readonly #most: number;
  #left: number;

  constructor(most: number) {
    this.#most = most;
    this.#left = most;
  }

  /** Whether it may be done once more in this turn. */
  take(): boolean {
    if (this.#left === 0) return false;
    if (this.#left === this.#most) setImmediate(() => this.#refill());
    this.#left--;
    return true;
  }

  #refill(): void {
    this.#left = this.#most;
  }
}
