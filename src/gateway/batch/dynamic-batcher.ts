/**
 * The decision which batch to send next: a pure function of what waits, which instances are idle, how long batches take,
 * and the time. The queue, the timer and the runner are a shell around it (`scheduler.ts`), so the same rule runs in
 * production, in tests with a fake clock and in simulations.
 */

import type { SendReason } from '../ops/diagnostics.ts';
import { chooseBatch } from './batch-choice.ts';
import { mostRows } from './batch-rows.ts';
import { type Candidate, chooseCandidate } from './bucket-choice.ts';
import type { Returning } from './returning-callers.ts';
import { heldUntil } from './short-hold.ts';
import type { BatchPolicy, Bucket, Waiting } from './waiting.ts';

export type Decision<R extends Waiting = Waiting> =
  /** Nothing can be sent now, and no moment is known at which that changes by itself. */
  | { readonly kind: 'idle' }
  /** Look again at `until`, or when something changes. */
  | { readonly kind: 'wait'; readonly until: number }
  /** Send these requests of a bucket, which stand in order of their tags. */
  | {
      readonly kind: 'run';
      readonly bucket: number;
      readonly requests: readonly R[];
      readonly reason: SendReason;
    };

/** Buckets that are weighed against each other: a decision stays cheap however many shapes wait. */
const MAX_CANDIDATES = 64;
/**
 * How late a timer may fire without a deadline being missed. Node counts in whole milliseconds: a timer that fires up to one early
 * is set again for one at least, and that one fires up to one late.
 */
const TIMER_MS = 2;

/**
 * Decides what to do now. No request has more than `policy.maxRows` rows. Each of the buckets that may go proposes its next batch
 * (`batch-choice.ts`), and one of them is chosen (`bucket-choice.ts`).
 * @param returning callers of the last batch whose next requests would join the only bucket (`short-hold.ts`).
 */
export function decide<R extends Waiting>(
  buckets: readonly Bucket<R>[],
  policy: BatchPolicy,
  idleInstances: number,
  now: number,
  returning?: Returning,
): Decision<R> {
  if (idleInstances === 0) return { kind: 'idle' };
  let until = Number.POSITIVE_INFINITY;
  const due: { readonly bucket: number; readonly head: R }[] = [];
  for (const [index, bucket] of buckets.entries()) {
    const [head] = bucket.waiting;
    if (head === undefined) continue;
    const at = dueAt(bucket, policy, now, idleInstances === 1 ? returning : undefined);
    if (at > now) until = Math.min(until, at);
    else due.push({ bucket: index, head });
  }
  if (due.length > MAX_CANDIDATES) due.sort((a, b) => compareTags(a.head, b.head)).splice(MAX_CANDIDATES);
  const candidates = due.flatMap(({ bucket: index, head }): Candidate<R>[] => {
    const bucket = buckets[index];
    if (bucket === undefined) return [];
    const batch = chooseBatch(bucket, policy, idleInstances, now);
    return [{ bucket: index, head, batch, tookMs: due.length > 1 ? bucket.predict(batch.rows) : undefined }];
  });
  const chosen = chooseCandidate(candidates, now);
  if (chosen === undefined) return until === Number.POSITIVE_INFINITY ? { kind: 'idle' } : { kind: 'wait', until };
  return { kind: 'run', bucket: chosen.bucket, requests: chosen.batch.requests, reason: chosen.batch.reason };
}

/** From when on the bucket may be sent: now or earlier, unless a configured delay or callers who are about to return hold it back. */
function dueAt(bucket: Bucket, policy: BatchPolicy, now: number, returning: Returning | undefined): number {
  if (policy.maxDelayMs === 0) return returning === undefined ? now : heldUntil(bucket, policy, returning, TIMER_MS);
  let rows = 0;
  let oldest = Number.POSITIVE_INFINITY;
  let earliestDeadline = Number.POSITIVE_INFINITY;
  const enough = policy.preferredRows[0] ?? mostRows(bucket, policy);
  for (const request of bucket.waiting) {
    rows += request.rows;
    // Also where it is more than fits: that closes the batch, and holding it back would gain nothing.
    if (rows >= enough) return now;
    oldest = Math.min(oldest, request.arrivalMs);
    earliestDeadline = Math.min(earliestDeadline, request.deadline);
  }
  return Math.min(oldest + policy.maxDelayMs, earliestDeadline - (bucket.predict(rows) ?? 0) - TIMER_MS);
}

/** Tags may both be infinite, so their difference is no order. */
function compareTags(a: Waiting, b: Waiting): number {
  if (a.tag === b.tag) return 0;
  return a.tag < b.tag ? -1 : 1;
}
