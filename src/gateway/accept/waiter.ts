/**
 * A request that waits for its outcome: in a queue, for the run of an equal request, for its place in a sequence, for the steps of
 * an ensemble, or for a model that is being loaded.
 *
 * WAIT-1: a waiter settles exactly once. It is resolved or rejected; later outcomes change nothing.
 * WAIT-2: from `watch` until it settles or is released, a waiter holds the `onCancel` of its call. A caller that hands the request on
 *         releases it first.
 * WAIT-3: a time limit has a timer only where it ends before the deadline of the call, which the transport watches.
 * WAIT-4: after its end, a waiter has no timer, and its call refers to no part of it.
 */

import { MAX_TIMER_MS } from '../../timer-limit.ts';
import type { InferError } from '../errors.ts';
import type { Call, CancelReason } from './call.ts';

export interface Waiter<Outcome> {
  readonly call: Call;
  settled: boolean;
  /** Runs while the waiter has a time limit of its own. */
  timer: NodeJS.Timeout | undefined;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: InferError) => void;
}

/** Receives a waiter whose caller is gone, or whose time is over. */
export type Abandon<W> = (waiter: W, reason: CancelReason) => void;

type Watched = Pick<Waiter<never>, 'call' | 'timer'>;

/** Takes the call's `onCancel`. */
export function watch<W extends Watched>(waiter: W, abandon: Abandon<W>): void {
  // Bound, no arrow: V8 keeps a closure that outlives a collection of the young objects until it collects the old ones,
  // and with it the whole request.
  waiter.call.onCancel = abandon.bind(undefined, waiter);
}

export function limit<W extends Watched>(waiter: W, limitMs: number, now: number, abandon: Abandon<W>): void {
  if (now + limitMs >= waiter.call.deadline || limitMs > MAX_TIMER_MS) return;
  waiter.timer = setTimeout(abandon, limitMs, waiter, 'deadline');
}

/** Ends the watch and the time limit, and leaves the waiter unsettled: another stage holds its call now. */
export function release(waiter: Watched): void {
  waiter.call.onCancel = undefined;
  // Few waiters have a timer, and the call costs more than the question.
  if (waiter.timer !== undefined) clearTimeout(waiter.timer);
}

/** @returns false where the waiter has settled already */
export function resolve<Outcome>(waiter: Waiter<Outcome>, outcome: Outcome): boolean {
  if (!settle(waiter)) return false;
  waiter.resolve(outcome);
  return true;
}

/** @returns false where the waiter has settled already */
export function reject<Outcome>(waiter: Waiter<Outcome>, error: InferError): boolean {
  if (!settle(waiter)) return false;
  waiter.reject(error);
  return true;
}

function settle<Outcome>(waiter: Waiter<Outcome>): boolean {
  if (waiter.settled) return false;
  waiter.settled = true;
  release(waiter);
  return true;
}
