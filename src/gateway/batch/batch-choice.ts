/** The choice of the requests that make the next batch of one bucket. */

import type { SendReason } from '../ops/diagnostics.ts';
import { BEST, mostRows, rowsOfNext } from './batch-rows.ts';
import { BatchSearch } from './batch-search.ts';
import { type BatchPolicy, type Bucket, rowsOf, type Waiting } from './waiting.ts';

/** Requests of one bucket that run together, in order of their tags. */
export interface BatchChoice<R extends Waiting> {
  readonly requests: readonly R[];
  readonly rows: number;
  readonly reason: SendReason;
}

/**
 * The next batch of a bucket in which something waits.
 *
 * It takes requests in fair order for as long as they fit and all of them are answered in time. If a deadline ends the batch
 * early, larger batches are weighed that skip the requests that would be late in them: otherwise an old request with little time
 * left would make every batch small under overload, and none would ever be large again. Skipped requests stay in the queue: they
 * run if there is time after all, on another instance or because a run was fast.
 */
export function chooseBatch<R extends Waiting>(
  bucket: Bucket<R>,
  policy: BatchPolicy,
  idleInstances: number,
  now: number,
): BatchChoice<R> {
  const most = mostRows(bucket, policy);
  const limit = rowsOfNext(bucket, policy, most, idleInstances);
  const eager = takeInOrder(bucket, limit, now);
  if (eager.reason === 'deadline') {
    if (isAnsweredByTwo(bucket, eager, limit, now)) return eager;
    const best = mostRows(bucket, policy, BEST);
    return searchBatch(bucket, eager, rowsOfNext(bucket, policy, best, idleInstances), now);
  }
  const { requests, rows, reason } = preferred(eager, bucket, policy, now);
  // An instance's share can be full without being a full batch.
  if (reason === 'full' && limit < most) return { requests, rows, reason: 'idle' };
  return { requests, rows, reason: reason === 'idle' && policy.maxDelayMs > 0 ? 'delay' : reason };
}

/** The longest run of requests from the lowest tag that is at most `limit` rows (one request may exceed a share) and all in time. */
function takeInOrder<R extends Waiting>({ waiting, predict }: Bucket<R>, limit: number, now: number): BatchChoice<R> {
  let rows = 0;
  let count = 0;
  let earliest = Number.POSITIVE_INFINITY;
  for (const request of waiting) {
    if (count > 0 && rows + request.rows > limit) break;
    rows += request.rows;
    earliest = Math.min(earliest, request.deadline);
    count++;
  }
  // Mostly all of them are in time, which takes one prediction to see.
  const inTime = now + (predict(rows) ?? 0) <= earliest ? count : countInTime({ waiting, predict }, count, now);
  if (inTime < count) {
    const requests = waiting.slice(0, inTime);
    return { requests, rows: rowsOf(requests), reason: 'deadline' };
  }
  return { requests: waiting.slice(0, count), rows, reason: count < waiting.length || rows >= limit ? 'full' : 'idle' };
}

/** How many of the first `most` requests run together so that all are in time; at least 1. */
function countInTime({ waiting, predict }: Bucket, most: number, now: number): number {
  let rows = 0;
  let earliest = Number.POSITIVE_INFINITY;
  for (let count = 0; count < most; count++) {
    const request = waiting[count];
    if (request === undefined) break;
    rows += request.rows;
    earliest = Math.min(earliest, request.deadline);
    if (count > 0 && now + (predict(rows) ?? 0) > earliest) return count;
  }
  return most;
}

/** Whether so little waits that the rest follows in one batch, in time. Nothing is passed over then for the sake of what may come. */
function isAnsweredByTwo<R extends Waiting>(
  { waiting, predict }: Bucket<R>,
  { requests, rows }: BatchChoice<R>,
  limit: number,
  now: number,
): boolean {
  let left = -rows;
  for (const request of waiting) {
    left += request.rows;
    if (left + rows > limit) return false;
  }
  const end = now + (predict(rows) ?? 0) + (predict(left) ?? 0);
  return waiting.slice(requests.length).every(({ deadline }) => end <= deadline);
}

function searchBatch<R extends Waiting>(
  bucket: Bucket<R>,
  eager: BatchChoice<R>,
  limit: number,
  now: number,
): BatchChoice<R> {
  const requests = new BatchSearch(bucket, limit, now).betterThanFirst(eager.requests.length, eager.rows);
  if (requests === undefined) return eager;
  const rows = rowsOf(requests);
  return { requests, rows, reason: rows >= limit ? 'full' : 'deadline' };
}

/** The part of a choice that makes the largest preferred size; all of it where none can be formed exactly, or the delay has passed. */
function preferred<R extends Waiting>(
  choice: BatchChoice<R>,
  { waiting }: Bucket<R>,
  { preferredRows, maxDelayMs }: BatchPolicy,
  now: number,
): BatchChoice<R> {
  if (preferredRows.length === 0) return choice;
  if (maxDelayMs > 0 && waiting.some(({ arrivalMs }) => arrivalMs + maxDelayMs <= now)) return choice;
  let best = choice;
  let rows = 0;
  for (const [index, request] of choice.requests.entries()) {
    rows += request.rows;
    if (preferredRows.includes(rows)) {
      best = { requests: choice.requests.slice(0, index + 1), rows, reason: 'preferred' };
    }
  }
  return best;
}
