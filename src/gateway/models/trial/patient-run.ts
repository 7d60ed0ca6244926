/** Runs that a load needs, where something that is not of the model's doing keeps them from running. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { RunOutcome } from '../../../worker/run-outcome.ts';
import type { RunRows } from './row-independence.ts';

const PAUSE_MS = 200;

/**
 * The same runs, tried again while the directory of the mailboxes has no room, or where their process was stopped for a run of
 * another model: that says nothing of this one. A run that would not fit into the empty directory is an outcome like any other.
 * @param limitMs for all of them together
 * @param isBack whether an instance lives again
 */
export function patiently(run: RunRows, limitMs: number, isBack: () => boolean): RunRows {
  let left = limitMs;
  const pause = async (): Promise<void> => {
    const started = performance.now();
    await sleep(PAUSE_MS);
    left -= performance.now() - started;
  };
  return async (rows) => {
    for (;;) {
      const outcome = await run(rows);
      const obstacle = obstacleOf(outcome);
      if (obstacle === undefined) return outcome;
      if (left <= 0) throw new Error(obstacle);
      do await pause();
      while (!isBack() && left > 0);
    }
  };
}

/** @returns the obstacle that kept the run from starting, if the model is not to blame */
function obstacleOf(outcome: RunOutcome): string | undefined {
  if (outcome.kind === 'interrupted') return `a first run was interrupted: ${outcome.cause}`;
  if (outcome.kind !== 'no_room' || outcome.isLasting) return undefined;
  return `there was no room for a first run: ${outcome.message}`;
}
