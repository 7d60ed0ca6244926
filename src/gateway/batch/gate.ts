/** Whether the instances of a model take batches at all, and how long a request waits where they do not. */

import { InferError, withJitter } from '../errors.ts';
import type { ModelRef } from '../ops/diagnostics.ts';
import type { Arrival } from './queued-request.ts';

export type Gate =
  | { readonly kind: 'closed' }
  /** The circuit breaker refuses batches for `retryAfterMs`. */
  | { readonly kind: 'open'; readonly retryAfterMs: number }
  /** No instance lives. Times are on the clock of `performance.now()`. */
  | {
      readonly kind: 'down';
      readonly sinceMs: number;
      /** When one is expected back; infinite where none is, because the model itself was refused. */
      readonly expectedAtMs: number;
      /** After this long it is worth another try. */
      readonly retryAfterMs: number;
      /** Such as `restarting: attempt 2, next in 1 s, last: killed by SIGKILL`. */
      readonly detail: string;
    };

export type Down = Extract<Gate, { kind: 'down' }>;

/** A request without a deadline does not wait longer than this for an instance. */
const MAX_WAIT_MS = 30_000;
/** Timers, here and at the caller, are late by some milliseconds: a refusal is to arrive before the caller's own runs out. */
const NOTICE_MS = 15;

/** When a request is given up that waits for an instance: so early that the refusal reaches its caller in time. */
export function waitsUntilMs({ latestAt, arrivalMs }: Arrival, { sinceMs }: Down): number {
  return Math.min(latestAt - NOTICE_MS, Math.max(arrivalMs, sinceMs) + MAX_WAIT_MS);
}

/** Whether an instance is expected back before the request is given up. */
export function isWorthWaiting(request: Arrival, gate: Down, nowMs: number): boolean {
  return Math.max(nowMs, gate.expectedAtMs) < waitsUntilMs(request, gate);
}

export function runnerLost({ name, version }: ModelRef, { retryAfterMs, detail }: Down): InferError {
  const text = `model '${name}' version ${version} is not at ready state: ${detail}`;
  return new InferError('runner_lost', text, { pushback: withJitter(retryAfterMs) });
}
