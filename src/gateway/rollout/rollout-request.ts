/** A client's request for a rollout, before anything is known of the model. */

import type { z } from 'zod';
import { InferError } from '../errors.ts';
import {
  ROLLOUT_COURSE,
  ROLLOUT_LIMITS,
  type RolloutCourse,
  type RolloutLimits,
  type RolloutPlan,
} from './rollout-plan.ts';

export interface RolloutRequest {
  readonly model: string;
  /** The version that is to answer, or a label of it. */
  readonly version: string;
  /** Values that override the defaults. */
  readonly course: Partial<RolloutCourse>;
  /** Values that override the expectations from the version's report. */
  readonly limits: Partial<RolloutLimits>;
}

/** @throws InferError `invalid_request` that names the field, what was expected, and what came. */
export function checkRequest(request: RolloutRequest): void {
  check(ROLLOUT_COURSE.partial(), request.course);
  check(ROLLOUT_LIMITS.partial(), request.limits);
}

function check(schema: z.ZodType, given: Readonly<Record<string, unknown>>): void {
  const result = schema.safeParse(given);
  if (result.success) return;
  const [issue] = result.error.issues;
  const field = String(issue?.path[0] ?? '');
  const name = field.replace(/[A-Z]|(?<=p)99/g, (letter) => (letter === '99' ? letter : `_${letter.toLowerCase()}`));
  throw new InferError('invalid_request', `${name}: ${issue?.message}, got ${JSON.stringify(given[field])}`);
}

/** Whether a rollout does everything requested. Unset options match anything. */
export function isAsAsked(plan: RolloutPlan, { course, limits }: RolloutRequest): boolean {
  return agrees({ ...plan }, course) && agrees({ ...plan.limits }, limits);
}

function agrees(got: Readonly<Record<string, unknown>>, asked: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(asked).every(([key, value]) => JSON.stringify(got[key]) === JSON.stringify(value));
}
