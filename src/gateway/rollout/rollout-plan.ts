/** The plan of a rollout: its steps and its limits. */

import { z } from 'zod';

/** Longest hold of a step: a week. */
const MAX_HOLD_MS = 7 * 24 * 3_600_000;

/** Each has a share above 0, and more than the one before; the last has all. */
const steps = z
  .array(z.number().gt(0).max(100))
  .min(1)
  .max(100)
  .refine((list) => list.every((percent, index) => percent > (list[index - 1] ?? 0)) && list.at(-1) === 100, {
    error: 'expected ascending percentages, the last of them 100',
  });

/** By what a new version is judged beside the one before. */
export const ROLLOUT_LIMITS = z.strictObject({
  /** Minimum share of agreeing comparisons. */
  minAgreement: z.number().min(0).max(1),
  /** Largest share of requests that fail, beyond what fails of the version before. */
  maxErrorRate: z.number().min(0).max(1),
  /** Largest ratio of the 99th percentiles of latency. */
  maxP99Ratio: z.number().gt(0).max(1_000),
  /** Where it is given, comparisons agree or not, by their largest difference; otherwise rows do, by the place of their largest element. */
  maxDifference: z.number().min(0).optional(),
});

export type RolloutLimits = Readonly<z.output<typeof ROLLOUT_LIMITS>>;

export const ROLLOUT_COURSE = z.strictObject({
  /** Share of the requests that are copied. */
  shadowShare: z.number().gt(0).max(1),
  /** Comparisons before the new version answers anything. */
  comparisons: z.int().min(1).max(1_000_000_000),
  /** In percent. */
  steps,
  /** Minimum duration of each step, in milliseconds. */
  holdMs: z.int().min(0).max(MAX_HOLD_MS),
  /** Minimum number of requests that the new version answers in each step. */
  requests: z.int().min(1).max(1_000_000_000),
});

export type RolloutCourse = Readonly<z.output<typeof ROLLOUT_COURSE>>;

/** Defaults. 100 requests are the fewest that determine a 99th percentile. */
export const DEFAULT_COURSE: RolloutCourse = {
  shadowShare: 0.1,
  comparisons: 200,
  steps: [1, 10, 50, 100],
  holdMs: 60_000,
  requests: 100,
};

/** Where the version has no report: what two versions that mean the same should hold. */
export const DEFAULT_LIMITS: RolloutLimits = { minAgreement: 0.99, maxErrorRate: 0.01, maxP99Ratio: 1.5 };

export interface RolloutPlan extends RolloutCourse {
  readonly model: string;
  /** The version that answers before. */
  readonly from: string;
  /** The version that is to answer. */
  readonly to: string;
  readonly limits: RolloutLimits;
  /** Where the limits come from that were not asked for: a sentence. */
  readonly expectations: string;
}
