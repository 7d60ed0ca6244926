/** Runs that a load needs, where the directory of the mailboxes has no room for them at the moment. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { RunRows } from './row-independence.ts';

const PAUSE_MS = 200;

/**
 * The same runs, tried again while there is no room, by other batches or by files of others: that says nothing of the model. What
 * would not fit into the empty directory is an outcome like any other.
 * @param limitMs for all of them together
 */
export function patiently(run: RunRows, limitMs: number): RunRows {
  let left = limitMs;
  return async (rows) => {
    for (;;) {
      const started = performance.now();
      const outcome = await run(rows);
      if (outcome.kind !== 'no_room' || outcome.isLasting) return outcome;
      if (left <= 0) throw new Error(`there was no room for a first run: ${outcome.message}`);
      await sleep(PAUSE_MS);
      left -= performance.now() - started;
    }
  };
}
