/** Requests and buckets as the batch decision sees them. */

import type { Bucket, Waiting } from '../../src/gateway/batch/waiting.ts';

export const FOREVER = Number.POSITIVE_INFINITY;
export const NOW = 1_000;

const FLOWS: readonly object[] = Array.from({ length: 8 }, () => ({}));

/** A request; without a level it is one of a model that has none. Levels have flows of their own. */
export type Sketch = Pick<Waiting, 'rows' | 'arrivalMs' | 'deadline'> & Partial<Waiting>;

export function request(sketch: Sketch): Waiting {
  const level = sketch.level ?? 1;
  // A level is worth a second here.
  return { level, tag: sketch.arrivalMs + (level - 1) * 1_000, flow: flowOf(level), ...sketch };
}

export function flowOf(number: number): object {
  return FLOWS[number % FLOWS.length] ?? FLOWS;
}

/** Requests of one row that came one millisecond after the other, the last of them now. */
export function waiting(count: number, deadline = FOREVER): Waiting[] {
  return Array.from({ length: count }, (_, index) =>
    request({ rows: 1, arrivalMs: NOW - count + 1 + index, deadline }),
  );
}

export function bucket(requests: readonly Sketch[], predict: Bucket['predict'] = () => undefined): Bucket {
  return { waiting: requests.map(request), predict };
}

export function rowsOf(requests: readonly Waiting[]): number {
  return requests.reduce((sum, { rows }) => sum + rows, 0);
}

/** True for a request that could not be answered in time even if it ran by itself, now. */
export function isHopeless(one: Waiting, { predict }: Pick<Bucket, 'predict'>, now: number): boolean {
  return one.deadline <= now || now + (predict(one.rows) ?? 0) > one.deadline;
}
