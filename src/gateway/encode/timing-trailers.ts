/** Where a request's time went, for callers who ask for it with the metadata key `tensorgate-timing`. */

import type { Call, Trailers } from '../accept/call.ts';
import type { RequestTiming } from '../batch/queued-request.ts';

const ASKED_BY = 'tensorgate-timing';

/** The trailers `tensorgate-batch-rows`, `tensorgate-queue-us` and `tensorgate-compute-us`, where they were asked for. */
export function timingTrailers(call: Call, { batchRows, queueMs, computeMs }: RequestTiming): Trailers | undefined {
  if (call.get(ASKED_BY) === undefined) return undefined;
  return {
    'tensorgate-batch-rows': String(batchRows),
    'tensorgate-queue-us': String(Math.round(queueMs * 1_000)),
    'tensorgate-compute-us': String(Math.round(computeMs * 1_000)),
  };
}
