/** Requests that wait while no instance lives: each waits as long as an instance can be back within its deadline. */

import type { ModelRef } from '../ops/diagnostics.ts';
import { type Down, isWorthWaiting, runnerLost, waitsUntilMs } from './gate.ts';
import type { QueuedRequest } from './queued-request.ts';
import { fail } from './settlement.ts';
import type { Workload } from './workload.ts';

/**
 * Fails the requests that no instance can come back in time for.
 * @returns when the next of the others is due; infinite where none waits
 */
export function failLost({ prepared, queue }: Workload, model: ModelRef, gate: Down, now: number): number {
  let nextMs = Number.POSITIVE_INFINITY;
  const isLost = (request: QueuedRequest): boolean => {
    if (!isWorthWaiting(request, gate, now)) return true;
    nextMs = Math.min(nextMs, waitsUntilMs(request, gate));
    return false;
  };
  for (const request of [...prepared.sweep(isLost), ...queue.sweep(isLost)]) fail(request, runnerLost(model, gate));
  return nextMs;
}
