/** Triton's dynamic batcher where requests have deadlines of their own: first come, first served, and what has expired is dropped. */

import type { Answer } from './client.ts';
import type { Curve } from './curves.ts';
import { lognormal, seeded } from './random.ts';
import type { Requests } from './scenario.ts';

/** @param noise standard deviation of the logarithm of run times */
export function serveTriton(curve: Curve, { arrivals, plan }: Requests, noise: number): Answer[] {
  const random = seeded(7);
  const answers: Answer[] = [];
  const arrivalOf = (index: number): number => arrivals[index] ?? Number.POSITIVE_INFINITY;
  const answer = (index: number, now: number, isDropped: boolean): void => {
    const { deadlineMs, targetMs = deadlineMs ?? Number.POSITIVE_INFINITY, label = '' } = plan(index);
    const latencyMs = now - arrivalOf(index);
    const fate = isDropped ? 'expired' : latencyMs <= targetMs ? 'in_time' : 'late';
    answers.push({ sentMs: arrivalOf(index), latencyMs, fate, rows: 1, label });
  };
  let now = 0;
  for (let head = 0; head < arrivals.length; ) {
    now = Math.max(now, arrivalOf(head));
    const batch: number[] = [];
    for (; batch.length < curve.maxRows && arrivalOf(head) <= now; head++) {
      const expiry = arrivalOf(head) + (plan(head).deadlineMs ?? Number.POSITIVE_INFINITY);
      if (now <= expiry) batch.push(head);
      else answer(head, now, true);
    }
    if (batch.length > 0) now += (curve.table[batch.length] ?? 0) * lognormal(noise, random);
    for (const index of batch) answer(index, now, false);
  }
  return answers;
}
