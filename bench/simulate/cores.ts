/** Processor cores that runs share: when more run than there are cores, each gets an equal part (processor sharing). */

import type { TimedEvent } from './event-heap.ts';
import type { VirtualClock } from './virtual-clock.ts';

interface Run {
  leftMs: number;
  readonly done: () => void;
}

export class Cores {
  readonly #clock: VirtualClock;
  readonly #count: number;
  readonly #runs = new Set<Run>();
  #advancedMs = 0;
  #next: TimedEvent | undefined;

  /** @param count how many there are; infinite where no run slows another. */
  constructor(clock: VirtualClock, count = Number.POSITIVE_INFINITY) {
    this.#clock = clock;
    this.#count = count;
  }

  /** Starts a run that needs `workMs` of a core, and calls `done` when it has had them. */
  start(workMs: number, done: () => void): void {
    this.#advance();
    this.#runs.add({ leftMs: workMs, done });
    this.#plan();
  }

  get #speed(): number {
    return Math.min(1, this.#count / Math.max(1, this.#runs.size));
  }

  #advance(): void {
    const { now } = this.#clock;
    const progress = (now - this.#advancedMs) * this.#speed;
    for (const run of this.#runs) run.leftMs -= progress;
    this.#advancedMs = now;
  }

  #plan(): void {
    if (this.#next !== undefined) this.#next.cancelled = true;
    let least = Number.POSITIVE_INFINITY;
    for (const { leftMs } of this.#runs) least = Math.min(least, leftMs);
    if (least === Number.POSITIVE_INFINITY) return;
    this.#next = this.#clock.at(this.#clock.now + Math.max(0, least) / this.#speed, () => this.#finish());
  }

  #finish(): void {
    this.#advance();
    const ended = [...this.#runs].filter(({ leftMs }) => leftMs <= 1e-9);
    for (const run of ended) this.#runs.delete(run);
    for (const { done } of ended) done();
    this.#plan();
  }
}
