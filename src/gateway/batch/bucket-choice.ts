/** The choice between the buckets that may be sent. */

import type { BatchChoice } from './batch-choice.ts';
import { LAST_TAG } from './queue-policy.ts';
import type { Waiting } from './waiting.ts';

/** The batch that a bucket would send now. */
export interface Candidate<R extends Waiting = Waiting> {
  readonly bucket: number;
  /** The bucket's request with the lowest tag, which its batch may pass over. */
  readonly head: R;
  readonly batch: BatchChoice<R>;
  /** Milliseconds that the batch takes; `undefined` while that is not known. */
  readonly tookMs: number | undefined;
}

/**
 * Chooses among the buckets with a request of the next flow. The best bucket answers the most requests for its time, and counts
 * those twice that would be late after one more batch. By that rule a cheap or full bucket would always go first, so the bucket
 * that is next in fair order goes
 * - when its head has waited longer than one batch of every bucket takes, or
 * - when waiting would cost it answers, and going first costs the other bucket none.
 */
export function chooseCandidate<R extends Waiting>(
  candidates: readonly Candidate<R>[],
  now: number,
): Candidate<R> | undefined {
  const [only] = candidates;
  if (only === undefined || candidates.length === 1) return only;
  const first = candidates.reduce(
    (least, candidate) => (candidate.head.tag < least.head.tag ? candidate : least),
    only,
  );
  let roundMs = 0;
  for (const { tookMs } of candidates) {
    if (tookMs === undefined) return first;
    roundMs += tookMs;
  }
  if (first.head.tag === LAST_TAG || now - first.head.arrivalMs > roundMs) return first;
  let best = first;
  let bestRate = 0;
  for (const candidate of candidates) {
    if (candidate !== first && (candidate.head.tag === LAST_TAG || !hasPart(candidate, first.head.flow))) continue;
    const gain = candidate.batch.requests.length + lostAfter(candidate, roundMs / candidates.length, now);
    const rate = gain / (candidate.tookMs ?? 0);
    if (rate <= bestRate) continue;
    bestRate = rate;
    best = candidate;
  }
  const isUrgent = lostAfter(first, best.tookMs ?? 0, now) > 0 && lostAfter(best, first.tookMs ?? 0, now) === 0;
  return isUrgent ? first : best;
}

function hasPart({ batch }: Candidate, flow: object): boolean {
  return batch.requests.some((request) => request.flow === flow);
}

/** Requests of the batch that would be late if it waited for `delayMs`. */
function lostAfter({ batch, tookMs = 0 }: Candidate, delayMs: number, now: number): number {
  let lost = 0;
  for (const { deadline } of batch.requests) if (deadline < now + delayMs + tookMs) lost++;
  return lost;
}
