/** All work of one model version: requests that wait, batches that are formed already, and batches that run. */

import { Bag } from '../../bag.ts';
import { PreparedBatches } from './prepared-batches.ts';
import type { RequestQueue } from './request-queue.ts';

export class Workload {
  readonly queue: RequestQueue;
  readonly prepared = new PreparedBatches();
  /** The batches that run. */
  readonly inFlight = new Bag<{ readonly expectedEndMs: number }>();
  /** A batch runs that tolerates no other beside it. */
  isExclusive = false;
  readonly #drainWaiters: (() => void)[] = [];

  constructor(queue: RequestQueue) {
    this.queue = queue;
  }

  get requests(): number {
    return this.queue.requests + this.prepared.requests;
  }

  /** Nothing waits, and nothing runs. */
  get isQuiet(): boolean {
    return this.inFlight.size === 0 && this.requests === 0;
  }

  /** Someone waits for the version to be quiet. */
  get isDraining(): boolean {
    return this.#drainWaiters.length > 0;
  }

  /** When the first of the running batches is expected back; infinite where none runs. */
  get soonestEndMs(): number {
    let soonest = Number.POSITIVE_INFINITY;
    for (const { expectedEndMs } of this.inFlight) soonest = Math.min(soonest, expectedEndMs);
    return soonest;
  }

  /** Resolves when nothing waits and nothing runs. */
  drained(): Promise<void> {
    if (this.isQuiet) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  /** To be called when the last work may have ended. */
  reportQuiet(): void {
    if (this.#drainWaiters.length === 0 || !this.isQuiet) return;
    for (const resolve of this.#drainWaiters.splice(0)) resolve();
  }
}
