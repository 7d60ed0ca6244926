/** Effect of the following steps of an ensemble on the batches of a step's model. */

import { waitMsOf } from '../admit/request-terms.ts';
import type { QueuedRequest } from './queued-request.ts';
import { type Bucket, rowsOf } from './waiting.ts';

/** Time until the first output is of use: a step's outputs are useful once a step behind it can start. */
export function neededInMs(requests: readonly QueuedRequest[]): number {
  let least = Number.POSITIVE_INFINITY;
  const rows = rowsOf(requests);
  for (const { behind } of requests) {
    if (behind === undefined) return 0;
    least = Math.min(least, behind(rows).readyInMs);
  }
  return least;
}

/**
 * The bucket of a step's model as the decision has to see it. Requests that run together go on together, so a batch is as long as
 * its own run and those that follow. The deadlines of the requests are reduced by the waits of the steps behind already.
 */
export function withStepsBehind(bucket: Bucket<QueuedRequest>): Bucket<QueuedRequest> {
  const step = bucket.waiting.find(({ behind }) => behind !== undefined);
  if (step?.behind === undefined) return bucket;
  const { behind } = step;
  const waitMs = waitMsOf(behind(step.rows));
  const behindMs: number[] = [];
  const predict = (rows: number): number | undefined => {
    const ms = bucket.predict(rows);
    behindMs[rows] ??= Math.max(0, behind(rows).ms - waitMs);
    return ms === undefined ? undefined : ms + behindMs[rows];
  };
  return { ...bucket, predict };
}
