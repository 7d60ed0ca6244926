/**
 * The short hold: an idle instance waits for callers who come back at once, where one larger batch takes less time than two.
 *
 * Otherwise callers in a closed loop split into two groups, one that waits and one that runs: when a batch ends, the others are
 * sent at once, and its own callers come just too late for them.
 */

import { mostRows } from './batch-rows.ts';
import type { Returning } from './returning-callers.ts';
import { type BatchPolicy, type Bucket, rowsOf } from './waiting.ts';

/** A hold lasts for at most this part of the time that the larger batch saves. */
const SAVED_PART = 0.75;

/**
 * When the hold of a bucket ends at the latest; the end of the last batch where it is not held.
 * @param slackMs how much later the hold may end.
 */
export function heldUntil(bucket: Bucket, policy: BatchPolicy, returning: Returning, slackMs: number): number {
  const { rows, sinceMs, withinMs } = returning;
  // Preferred sizes are the operator's own choice.
  if (policy.preferredRows.length > 0) return sinceMs;
  const here = rowsOf(bucket.waiting);
  const all = Math.min(here + rows, mostRows(bucket, policy));
  if (here >= all) return sinceMs;
  const [hereMs, laterMs, allMs] = [here, all - here, all].map((some) => bucket.predict(some));
  if (hereMs === undefined || laterMs === undefined || allMs === undefined) return sinceMs;
  const longestMs = SAVED_PART * (hereMs + laterMs - allMs);
  if (withinMs > longestMs) return sinceMs;
  const latestStart = Math.min(...bucket.waiting.map(({ deadline }) => deadline)) - allMs - slackMs;
  return sinceMs + longestMs > latestStart ? sinceMs : sinceMs + longestMs;
}
