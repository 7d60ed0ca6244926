/** The executor runs the batches of one model version. */

import type { RunOutcome } from '../../worker/run-outcome.ts';
import type { Batch } from './batch.ts';
import type { CodeCalls } from './code-calls.ts';
import type { Gate } from './gate.ts';

/** Who waits while a batch runs. */
export interface RunDemand {
  /** How long such a batch takes, in milliseconds, as far as that is known; 0 otherwise. */
  readonly expectedMs: number;
  /** No caller waits for its answer any more, and other requests wait for its instance. */
  readonly isInTheWay: () => boolean;
  /** The run waits for other models, or goes on: while it waits, others may have its cores. */
  readonly wait: (isWaiting: boolean) => void;
  /** Only the runs of code models call other models. */
  readonly calls?: CodeCalls | undefined;
}

/** Runs batches on the instances of one model version. */
export interface Executor {
  readonly instances: number;
  /** Instances that would take a batch now. */
  readonly idle: number;
  readonly gate: Gate;
  /** Takes an idle instance at once; never rejects. */
  run(batch: Batch, demand: RunDemand): Promise<RunOutcome>;
}
