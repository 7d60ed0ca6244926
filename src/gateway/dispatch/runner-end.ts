/** How a runner process ends, and the outcome that its end gives to the runs in it. */

import type { RunOutcome } from '../../worker/run-outcome.ts';

/** How a runner process ended, or why it is to end. */
export interface RunnerEnd {
  /** Such as `killed by SIGSEGV`. */
  readonly cause: string;
  /** It was killed because a run, or a load, gave no answer within its limit, or made no progress. */
  readonly timedOut: boolean;
  /** It was killed for the memory that a run took: the only one at that time, or one of several. */
  readonly memory?: 'of-one-run' | 'of-some-run';
  /** It was killed for one instance, whose run or load took too long: runs of other instances are not to blame. */
  readonly culprit?: Culprit;
}

interface Culprit {
  readonly instance: number;
  /** The run, or the load, reached its limit; or no caller waited for the run any more. */
  readonly fault: 'overran' | 'abandoned';
}

/**
 * The outcome of a run whose process ended.
 * @param instance that the run was, or would have been, in
 * @param maxMs how long the run was allowed to take
 */
export function outcomeUnder(
  { cause, timedOut, memory, culprit }: RunnerEnd,
  instance: number,
  maxMs: number,
): RunOutcome<never> {
  if (culprit !== undefined) {
    if (culprit.instance !== instance) return { kind: 'interrupted', cause };
    return culprit.fault === 'overran' ? { kind: 'overran', cause, maxMs } : { kind: 'abandoned', cause };
  }
  if (memory === undefined) return { kind: timedOut ? 'timed_out' : 'crashed', cause };
  return { kind: 'out_of_memory', by: memory === 'of-one-run' ? 'batch' : 'process', cause };
}
