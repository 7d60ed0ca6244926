/** Triton's dynamic batcher where requests have deadlines of their own: first come, first served, and what has expired is dropped. */

import type { Curve } from './curves.ts';
import { lognormal, seeded } from './random.ts';
import type { Scenario } from './scenario.ts';

/** @returns for each request whether it was answered within its deadline, or its target where it names none. */
export function serveTriton(
  curve: Curve,
  { arrivals, plan }: Pick<Scenario, 'arrivals' | 'plan'>,
  noise: number,
): boolean[] {
  const random = seeded(7);
  const inTime = Array<boolean>(arrivals.length).fill(false);
  const arrivalOf = (index: number): number => arrivals[index] ?? Number.POSITIVE_INFINITY;
  let now = 0;
  for (let head = 0; head < arrivals.length; ) {
    now = Math.max(now, arrivalOf(head));
    const batch: number[] = [];
    for (; batch.length < curve.maxRows && arrivalOf(head) <= now; head++) {
      if (now <= arrivalOf(head) + (plan(head).deadlineMs ?? Number.POSITIVE_INFINITY)) batch.push(head);
    }
    if (batch.length === 0) continue;
    now += (curve.table[batch.length] ?? 0) * lognormal(noise, random);
    for (const index of batch) {
      const { deadlineMs, targetMs = deadlineMs ?? Number.POSITIVE_INFINITY } = plan(index);
      inTime[index] = now - arrivalOf(index) <= targetMs;
    }
  }
  return inTime;
}
