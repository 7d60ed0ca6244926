/** The report of a run that the gateway ended: whose requests it held, for the operator who has to look into it. */

import type { RunOutcome } from '../../worker/run-outcome.ts';
import { diagnostics, type ModelRef } from '../ops/diagnostics.ts';
import type { Batch } from './batch.ts';

/** Reports the run where it may have been to blame for its own end. */
export function reportStopped(model: ModelRef, { requests }: Batch, outcome: RunOutcome, ranMs: number): void {
  if (outcome.kind !== 'timed_out' && outcome.kind !== 'overran' && outcome.kind !== 'abandoned') return;
  diagnostics.runStopped.publish({
    model,
    cause: outcome.cause,
    ranMs,
    requests: requests.map(({ call, tensors }) => ({ call, id: tensors.requestId ?? '' })),
  });
}
