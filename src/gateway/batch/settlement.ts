/** The one end of a queued request: its answer or its error, and the release of its rows. */

import { reject, resolve } from '../accept/waiter.ts';
import type { InferError } from '../errors.ts';
import type { Batch } from './batch.ts';
import type { InferOutputs, QueuedRequest } from './queued-request.ts';

/** Rejects the request, unless it has settled already. */
export function fail(request: QueuedRequest, error: InferError): void {
  if (reject(request, error)) request.occupancy?.leave(request.rows);
}

export function failAll(batch: Batch, error: InferError): void {
  for (const request of batch.requests) fail(request, error);
}

/** Resolves the request, unless it has settled already: then no one reads its outputs. */
export function answer(request: QueuedRequest, outputs: InferOutputs): void {
  if (resolve(request, outputs)) request.occupancy?.leave(request.rows);
  else outputs.memory?.giveBack();
}
