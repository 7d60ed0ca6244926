/** Batches that were formed already: halves of one that failed, and requests to be replayed. They go before what waits. */

import { expired } from '../accept/cancellation.ts';
import type { QueuedRequest } from './queued-request.ts';
import { fail } from './settlement.ts';

export interface Prepared {
  readonly requests: readonly QueuedRequest[];
  /** Nothing else may run beside it. */
  readonly exclusive: boolean;
}

export class PreparedBatches {
  #batches: Prepared[] = [];

  get requests(): number {
    return this.#batches.reduce((sum, { requests }) => sum + requests.filter(({ settled }) => !settled).length, 0);
  }

  push(batches: readonly Prepared[]): void {
    this.#batches.push(...batches);
  }

  /** Returns a batch that was taken by `next` and could not be sent. */
  putBack(batch: Prepared): void {
    this.#batches.unshift(batch);
  }

  /**
   * Removes and returns the next batch, without settled or expired requests. `wait` if it must wait for running batches.
   */
  next(isRunning: boolean, now: number): Prepared | 'wait' | undefined {
    for (let next = this.#batches[0]; next !== undefined; next = this.#batches[0]) {
      const requests = next.requests.filter(({ settled }) => !settled);
      for (const request of requests) if (request.expiresAt <= now) fail(request, expired());
      const live = requests.filter(({ settled }) => !settled);
      if (live.length > 0 && next.exclusive && isRunning) return 'wait';
      this.#batches.shift();
      if (live.length > 0) return { requests: live, exclusive: next.exclusive };
    }
    return undefined;
  }

  /** Removes and returns every request for which `condition` holds, and forgets those that are settled. */
  sweep(condition: (request: QueuedRequest) => boolean): QueuedRequest[] {
    const swept: QueuedRequest[] = [];
    const keeps = (request: QueuedRequest): boolean => {
      if (request.settled) return false;
      if (!condition(request)) return true;
      swept.push(request);
      return false;
    };
    const kept = this.#batches.map(({ requests, exclusive }) => ({ requests: requests.filter(keeps), exclusive }));
    this.#batches = kept.filter(({ requests }) => requests.length > 0);
    return swept;
  }
}
