/** Runs of a load that gave no outputs: why, and whether fewer rows may run. */

import type { RunOutcome } from '../../../worker/run-outcome.ts';
import { outOfMemory } from '../../batch/refusals.ts';

/** Why made-up rows did not run. */
export function reasonOf(outcome: RunOutcome<never>): string {
  switch (outcome.kind) {
    case 'refused':
    case 'threw':
    case 'no_room':
      return outcome.message;
    case 'outputs_too_large':
      return `${outcome.message}, more than maxOutputBytes allows`;
    case 'out_of_memory':
      return outOfMemory(outcome).message;
    case 'failed':
      return String(outcome.error);
    case 'crashed':
    case 'timed_out':
    case 'overran':
    case 'abandoned':
    case 'interrupted':
      return outcome.cause;
    case 'rejected':
      return 'rejected';
  }
}

/** Whether the rows need more than there is, so that fewer of them may run. */
export function isTooLarge({ kind }: RunOutcome): boolean {
  return kind === 'no_room' || kind === 'outputs_too_large' || kind === 'out_of_memory';
}
