/** Sequences without waiting or running requests, and the one timer that forgets them after too long. */

import type { Sequence } from './sequence.ts';

export class IdleSequences {
  /** In the order in which they became idle, which is that in which they expire. */
  readonly #idle = new Set<Sequence>();
  readonly #limitMs: number;
  readonly #expire: (sequence: Sequence) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param expire called with each sequence that was idle for `limitMs`, after its removal. */
  constructor(limitMs: number, expire: (sequence: Sequence) => void) {
    this.#limitMs = limitMs;
    this.#expire = expire;
  }

  add(sequence: Sequence): void {
    sequence.idleSince = performance.now();
    this.#idle.add(sequence);
    this.#arm();
  }

  delete(sequence: Sequence): void {
    this.#idle.delete(sequence);
  }

  /** Milliseconds until the first could expire. */
  get nextExpiryMs(): number {
    const first = this.#idle.values().next().value;
    return first === undefined ? this.#limitMs : Math.max(0, first.idleSince + this.#limitMs - performance.now());
  }

  /** The timer is not set again when a sequence goes on: it fires early, and finds the next one. */
  #arm(): void {
    if (this.#timer !== undefined || this.#idle.size === 0) return;
    // Half a millisecond more, because Node rounds down; unreferenced, because nothing waits for it.
    this.#timer = setTimeout(() => this.#sweep(), this.nextExpiryMs + 0.5).unref();
  }

  #sweep(): void {
    this.#timer = undefined;
    const before = performance.now() - this.#limitMs;
    for (const sequence of this.#idle) {
      if (sequence.idleSince > before) break;
      this.#idle.delete(sequence);
      this.#expire(sequence);
    }
    this.#arm();
  }
}
