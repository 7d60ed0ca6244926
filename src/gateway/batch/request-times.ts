/** When a request is over, and when its answer is to be ready: from its call, its own terms, and the policy of its level. */

import type { Call } from '../accept/call.ts';
import { type RequestTerms, waitMsOf } from '../admit/request-terms.ts';
import { type QueuePolicy, timeLimitMs } from './queue-policy.ts';

export interface RequestTimes {
  /** Milliseconds after which the policy of its level acts on it; infinite: never. */
  readonly limitMs: number;
  readonly expiresAt: number;
  /** When the answer of its call is to be ready at the latest, so that it comes before `expiresAt`. */
  readonly latestAt: number;
  /** When its call should be answered, where its caller named no time; infinite otherwise. */
  readonly objectiveAt: number;
  /** When its answer is to be ready: `objectiveAt` or `latestAt`, less what waits before the steps behind it. */
  readonly deadline: number;
  /** Its place in its flow: earlier due times go first. */
  readonly due: number;
}

/** @param objectiveMs after how long a request should be answered that names no time */
export function timesOf(
  call: Call,
  terms: RequestTerms,
  policy: QueuePolicy,
  objectiveMs: number,
  rows: number,
  now: number,
): RequestTimes {
  const limitMs = timeLimitMs(policy, terms);
  const expiresAt = policy.timeoutAction === 'delay' ? call.deadline : Math.min(call.deadline, now + limitMs);
  const latestAt = expiresAt - call.wayBackMs;
  const namesTime = call.namesDeadline || limitMs < Number.POSITIVE_INFINITY;
  const objectiveAt = namesTime ? Number.POSITIVE_INFINITY : (terms.objectiveAt ?? now + objectiveMs);
  const behind = terms.behind?.(rows);
  const endsAt = Math.min(latestAt, objectiveAt);
  const deadline = endsAt - waitMsOf(behind);
  const due = Math.min(endsAt - (behind?.ms ?? 0), now + objectiveMs);
  return { limitMs, expiresAt, latestAt, objectiveAt, deadline, due };
}
