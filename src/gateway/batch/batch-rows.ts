/** How many rows the next batch of a bucket may have: as many as are allowed, as pay, and as suit those who wait for it. */

import { type BatchPolicy, type Bucket, grantedMs } from './waiting.ts';

/**
 * Milliseconds of a core that a batch costs besides its predicted time: the decision, two wake-ups, and work of the gateway and
 * the runner for each batch. Measured with an int8 CNN of 0.1 ms a row, gateway and runner on one core.
 */
const OVERHEAD_MS = 0.25;
/**
 * Milliseconds of a core that each byte of a batch costs beyond `CACHED_BYTES`: all its bytes are copied between message, mailbox and
 * session, and a batch that leaves the processor's cache in between is read from memory each time. Measured with an identity model of
 * 602 KB a row: batches of 4 rows cost 13 % less than batches of 64.
 */
const UNCACHED_MS_PER_BYTE = 0.18e-6;
const CACHED_BYTES = 4 * 2 ** 20;
/** A size pays where the cost of a row is at most this many times the least one. */
const PAYING = 1.0125;
/** A size is dear where the cost of a row is more than this many times the least one: more than predictions of sizes err. */
const DEAR = 1.02;
/** Under pressure of deadlines only the best size pays. */
export const BEST = 1;
/** Callers wait together who grant times that differ by more than this factor: no size suits all of them by itself. */
const UNLIKE = 2;
/** For impatient callers a batch becomes no smaller than answers this share of what full batches answer. */
const LEAST_RATE = 0.8;

/** The most rows of one batch, in which the cost of a row is at most `slack` times the least one. */
export function mostRows(bucket: Bucket, policy: BatchPolicy, slack = PAYING): number {
  const allowed = Math.min(bucket.maxRows ?? policy.maxRows, policy.maxRows);
  // Preferred sizes are the operator's own choice.
  if (policy.preferredRows.length > 0) return allowed;
  const paying = payingRows(bucket, allowed, slack);
  return Math.min(paying, suitingRows(bucket, paying));
}

/**
 * The smallest size, of the powers of two and `allowed`, in which the cost of a row is at most `slack` times the least one: in a
 * larger batch every request waits longer, and no more are answered. Where a row still gets cheaper at the largest size whose time is
 * known, the next size is tried, and so becomes known.
 */
export function payingRows(
  { predict, rowBytes }: Pick<Bucket, 'predict' | 'rowBytes'>,
  allowed: number,
  slack = PAYING,
): number {
  const sizes: { readonly rows: number; readonly perRow: number }[] = [];
  let best = Number.POSITIVE_INFINITY;
  let untried: number | undefined;
  for (let rows = 1; ; rows = Math.min(2 * rows, allowed)) {
    const took = predict(rows);
    if (took === undefined) {
      untried = rows;
      break;
    }
    const perRow = costOfRow(took, rows, rowBytes);
    sizes.push({ rows, perRow });
    best = Math.min(best, perRow);
    if (rows >= allowed) break;
  }
  const paying = sizes.find(({ perRow }) => perRow <= best * slack);
  if (paying === undefined) return allowed;
  return untried !== undefined && paying === sizes.at(-1) ? untried : paying.rows;
}

/**
 * Where patient callers would fill the batch, so many rows that two batches fit into the time that the least patient one granted
 * (Nexus' target, Shen et al., SOSP 2019): the impatient who come during one batch are answered by the next. But a batch keeps
 * most of the rate of `limit` rows, so that few impatient callers do not slow down all others.
 */
function suitingRows({ waiting, predict }: Bucket, limit: number): number {
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  let rows = 0;
  for (const request of waiting) {
    const granted = grantedMs(request);
    least = Math.min(least, granted);
    most = Math.max(most, granted);
    rows += request.rows;
    if (rows >= limit) break;
  }
  if (most <= UNLIKE * least) return limit;
  const full = predict(limit) ?? 0;
  const target = targetRows((size) => predict(size) ?? 0, limit, least);
  const slow = largestRows(limit, (size) => size * full < LEAST_RATE * limit * (predict(size) ?? 0));
  return Math.max(target, Math.min(limit, slow + 1));
}

/** The largest number of rows whose two batches fit into `granted` milliseconds; at least 1. */
export function targetRows(time: (rows: number) => number, limit: number, granted: number): number {
  return Math.max(
    1,
    largestRows(limit, (rows) => 2 * time(rows) <= granted),
  );
}

/** The largest number up to `limit` for which `holds`, which holds for small ones only; 0 where it holds for none. */
function largestRows(limit: number, holds: (rows: number) => boolean): number {
  let low = 0;
  let high = limit;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * The rows of a batch of what waits now, at most `most`: all of it, or an instance's share where several are idle, so that none
 * idles while another works it off. A policy that asks for large batches gets them.
 */
export function rowsOfNext(bucket: Bucket, policy: BatchPolicy, most: number, idleInstances: number): number {
  if (policy.maxDelayMs > 0 || policy.preferredRows.length > 0) return most;
  let rows = 0;
  for (const request of bucket.waiting) {
    rows += request.rows;
    if (rows >= most * idleInstances) return most;
  }
  return Math.min(most, unlessDear(bucket, Math.ceil(rows / idleInstances)));
}

/** `rows`, or the size that pays where a row is clearly dearer in so many: sizes between powers of two are as unlike as those. */
function unlessDear(bucket: Bucket, rows: number): number {
  const paying = payingRows(bucket, rows);
  const cost = (size: number): number => costOfRow(bucket.predict(size) ?? 0, size, bucket.rowBytes);
  return cost(rows) > DEAR * cost(paying) ? paying : rows;
}

function costOfRow(batchMs: number, rows: number, rowBytes = 0): number {
  const uncached = Math.max(0, rows * rowBytes - CACHED_BYTES);
  return (batchMs + OVERHEAD_MS + uncached * UNCACHED_MS_PER_BYTE) / rows;
}
