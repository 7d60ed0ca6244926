/** The one end of a request: its answer or its error, and the release of what it holds. */

import type { InferError } from '../errors.ts';
import type { Batch } from './batch.ts';
import type { InferOutputs, QueuedRequest } from './queued-request.ts';

/** Rejects the request, unless it is settled already. */
export function settle(request: QueuedRequest, error: InferError): void {
  if (request.settled) return;
  conclude(request);
  request.reject(error);
}

export function settleAll(batch: Batch, error: InferError): void {
  for (const request of batch.requests) settle(request, error);
}

/** Resolves the request, unless it is settled already. */
export function answer(request: QueuedRequest, outputs: InferOutputs): void {
  if (request.settled) return;
  conclude(request);
  request.resolve(outputs);
}

function conclude(request: QueuedRequest): void {
  request.settled = true;
  request.call.onCancel = undefined;
  request.stopTimer?.();
  request.occupancy?.leave(request.rows);
}
