/**
 * The decision which batch to send next: a pure function of what waits, which instances are idle, how long batches take,
 * and the time. The queue, the timer and the runner are a shell around it (`scheduler.ts`), so the same rule runs in
 * production, in tests with a fake clock and in simulations.
 */

import type { SendReason } from '../ops/diagnostics.ts';
import { LAST_TURN } from './queue-policy.ts';

/** A request as the decision sees it. Times are milliseconds of one monotonic clock. */
export interface Waiting {
  readonly rows: number;
  readonly arrivalMs: number;
  /** When its answer is to be ready. */
  readonly deadline: number;
  /** Level of priority; 1 is the most urgent. */
  readonly level: number;
  /** What its place is by: the arrival, put off by the level (see `queue-policy.ts`). The lowest goes first. */
  readonly turn: number;
}

/** Requests whose tensors fit into one batch (same shapes apart from the rows), in order of their turns. */
export interface Bucket {
  readonly waiting: readonly Waiting[];
  /** Most rows of a batch where that is less than the policy's. */
  readonly maxRows?: number | undefined;
  /** Milliseconds that a batch of `rows` takes, from sending to answer; `undefined` while that is not known. */
  predict(rows: number): number | undefined;
}

export interface BatchPolicy {
  /** Most rows of a batch; 1 where the model does not batch. */
  readonly maxRows: number;
  /** How long the oldest request may be held back for company; 0: an idle instance never waits. */
  readonly maxDelayMs: number;
  /** Sizes to send as soon as they can be formed, ascending. With a delay only these, or a full batch, go before it has passed. */
  readonly preferredRows: readonly number[];
}

export type Decision =
  /** Nothing can be sent now, and no moment is known at which that changes by itself. */
  | { readonly kind: 'idle' }
  /** Look again at `until`, or when something changes. */
  | { readonly kind: 'wait'; readonly until: number }
  /** Give up the `shed` first requests of a bucket, and send the `count` next. */
  | {
      readonly kind: 'run';
      readonly bucket: number;
      readonly shed: number;
      readonly count: number;
      readonly reason: SendReason;
    };

/** True for a request that could not be answered in time even if it ran alone, now: it must never run. */
export function isHopeless(request: Waiting, bucket: Pick<Bucket, 'predict'>, now: number): boolean {
  return request.deadline <= now || now + (bucket.predict(request.rows) ?? 0) > request.deadline;
}

/**
 * What to do now. `buckets` must hold no hopeless request, and every request at most `policy.maxRows` rows.
 *
 * Of the buckets that may go, the one whose head's turn comes first is served: without levels of priority, the one that waits
 * longest. Its batch takes requests in order of their turns for as long as they fit and all of them are answered in time. An
 * old head with little time left would make every batch behind it small, and under overload none would ever be large again; so
 * batches without the first few are weighed too (Nexus' sliding window, Shen et al., SOSP 2019), but none is given up for
 * requests that are less urgent.
 */
export function decide(buckets: readonly Bucket[], policy: BatchPolicy, idleInstances: number, now: number): Decision {
  if (idleInstances === 0) return { kind: 'idle' };
  let until = Number.POSITIVE_INFINITY;
  let chosen = -1;
  let first = Number.POSITIVE_INFINITY;
  for (const [index, bucket] of buckets.entries()) {
    const head = bucket.waiting[0];
    if (head === undefined) continue;
    const due = dueAt(bucket, policy, now);
    if (due > now) until = Math.min(until, due);
    else if (chosen < 0 || head.turn < first) {
      first = head.turn;
      chosen = index;
    }
  }
  const bucket = buckets[chosen];
  if (bucket === undefined) return until === Number.POSITIVE_INFINITY ? { kind: 'idle' } : { kind: 'wait', until };
  return { kind: 'run', bucket: chosen, ...chooseBatch(bucket, policy, idleInstances, now) };
}

/** From when on the bucket may be sent: now or earlier, unless a configured delay holds it back. */
function dueAt(bucket: Bucket, policy: BatchPolicy, now: number): number {
  if (policy.maxDelayMs === 0) return now;
  let rows = 0;
  let oldest = Number.POSITIVE_INFINITY;
  let earliestDeadline = Number.POSITIVE_INFINITY;
  const enough = policy.preferredRows[0] ?? Math.min(policy.maxRows, bucket.maxRows ?? policy.maxRows);
  for (const request of bucket.waiting) {
    rows += request.rows;
    // Also where it is more than fits: that closes the batch, and holding it back would gain nothing.
    if (rows >= enough) return now;
    oldest = Math.min(oldest, request.arrivalMs);
    earliestDeadline = Math.min(earliestDeadline, request.deadline);
  }
  // Half a millisecond for the timer, which never fires early.
  return Math.min(oldest + policy.maxDelayMs, earliestDeadline - (bucket.predict(rows) ?? 0) - 0.5);
}

interface Choice {
  readonly shed: number;
  readonly count: number;
  readonly reason: SendReason;
}

interface Span {
  readonly count: number;
  readonly rows: number;
  readonly reason: SendReason;
}

/** How far behind the head a batch may begin, and how many batches ahead a choice is followed. */
const MAX_SHED = 256;
const HORIZON_BATCHES = 4;
/** What a millisecond of the instance is worth, in units of requests at its best rate (from a sweep over simulated loads). */
const TIME_WEIGHT = 0.3;

function chooseBatch(bucket: Bucket, policy: BatchPolicy, idleInstances: number, now: number): Choice {
  const limit = Math.min(share(bucket, policy, idleInstances), bucket.maxRows ?? policy.maxRows);
  const eager = takeFrom(bucket, 0, limit, now);
  // Only a deadline can make it worth giving up the head.
  if (eager.reason !== 'deadline') {
    const span = preferred(bucket, policy, eager, now);
    return { shed: 0, count: span.count, reason: reasonOf(span, limit, policy) };
  }
  let best: Choice = { shed: 0, count: eager.count, reason: eager.reason };
  const peers = countPeers(bucket);
  let bestScore = score(bucket, { from: 0, to: peers }, limit, now);
  const last = Math.min(peers - 1, MAX_SHED, countImpatient(bucket, now + (bucket.predict(limit) ?? 0)));
  // Every offset near the head, then coarser: a decision must stay cheap when much is waiting.
  for (let shed = 1; shed <= last; shed += shed < 16 ? 1 : Math.ceil(shed / 4)) {
    const candidate = score(bucket, { from: shed, to: peers }, limit, now);
    if (candidate <= bestScore) continue;
    const span = takeFrom(bucket, shed, limit, now);
    best = { shed, count: span.count, reason: reasonOf(span, limit, policy) };
    bestScore = candidate;
  }
  return best;
}

/** How many requests stand before the first that is less urgent than the head. */
/**
 * The requests at the head that could not be answered after `later`, when the batch is over. Nobody behind them is given up:
 * whoever has time loses nothing by waiting, however little those beside him have.
 */
function countImpatient(bucket: Bucket, later: number): number {
  const patient = bucket.waiting.findIndex((request) => !isHopeless(request, bucket, later));
  return patient < 0 ? bucket.waiting.length : patient;
}

function countPeers({ waiting }: Bucket): number {
  const head = waiting[0];
  if (head === undefined) return 0;
  const other = waiting.findIndex(({ level, turn }) => level > head.level || turn === LAST_TURN);
  return other < 0 ? waiting.length : other;
}

/** Several idle instances divide what waits, so that none idles while another works it off, unless the policy asks for large batches. */
function share(bucket: Bucket, policy: BatchPolicy, idleInstances: number): number {
  if (idleInstances === 1 || policy.maxDelayMs > 0 || policy.preferredRows.length > 0) return policy.maxRows;
  let rows = 0;
  for (const request of bucket.waiting) {
    rows += request.rows;
    if (rows >= policy.maxRows * idleInstances) return policy.maxRows;
  }
  return Math.min(policy.maxRows, Math.ceil(rows / idleInstances));
}

/** The longest run of requests from `start` that is at most `limit` rows (one request may exceed a share) and all in time. */
function takeFrom(bucket: Bucket, start: number, limit: number, now: number): Span {
  let rows = 0;
  let count = 0;
  let earliestDeadline = Number.POSITIVE_INFINITY;
  for (let index = start; index < bucket.waiting.length; index++) {
    const request = bucket.waiting[index];
    if (request === undefined) break;
    const more = rows + request.rows;
    if (count > 0 && more > limit) return { count, rows, reason: 'full' };
    const deadline = Math.min(earliestDeadline, request.deadline);
    if (count > 0 && now + (bucket.predict(more) ?? 0) > deadline) return { count, rows, reason: 'deadline' };
    rows = more;
    earliestDeadline = deadline;
    count++;
  }
  return { count, rows, reason: rows >= limit ? 'full' : 'idle' };
}

/** The part of `span` that makes the largest preferred size; all of it where none can be formed exactly, or the delay has passed. */
function preferred(bucket: Bucket, policy: BatchPolicy, span: Span, now: number): Span {
  if (policy.preferredRows.length === 0 || delayPassed(bucket, policy, now)) return span;
  let best = span;
  let rows = 0;
  for (let count = 1; count <= span.count; count++) {
    rows += bucket.waiting[count - 1]?.rows ?? 0;
    if (policy.preferredRows.includes(rows)) best = { count, rows, reason: 'preferred' };
  }
  return best;
}

function delayPassed({ waiting }: Bucket, { maxDelayMs }: BatchPolicy, now: number): boolean {
  return maxDelayMs > 0 && waiting.some(({ arrivalMs }) => arrivalMs + maxDelayMs <= now);
}

function reasonOf({ reason }: Span, limit: number, policy: BatchPolicy): SendReason {
  // An instance's share can be full without being a full batch.
  if (reason === 'full' && limit < policy.maxRows) return 'idle';
  return reason === 'idle' && policy.maxDelayMs > 0 ? 'delay' : reason;
}

/**
 * Requests before `to` that are answered in time if the batch begins at `from` and the rest is worked off greedily, less the
 * worth of the time that it takes.
 */
function score(
  bucket: Bucket,
  { from, to }: { readonly from: number; readonly to: number },
  limit: number,
  now: number,
): number {
  let at = now;
  let index = from;
  let inTime = 0;
  let bestRate = 0;
  for (let batch = 0; batch < HORIZON_BATCHES && index < to; batch++) {
    while (index < to) {
      const request = bucket.waiting[index];
      if (request !== undefined && !isHopeless(request, bucket, at)) break;
      index++;
    }
    if (index >= to) break;
    const { count, rows } = takeFrom(bucket, index, limit, at);
    const counted = Math.min(count, to - index);
    const took = bucket.predict(rows) ?? 0;
    if (took > 0) bestRate = Math.max(bestRate, counted / took);
    inTime += counted;
    index += count;
    at += took;
  }
  return inTime - TIME_WEIGHT * (at - now) * bestRate;
}
