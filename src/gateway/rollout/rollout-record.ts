/** The recorded state of a rollout, which survives a restart. */

import { z } from 'zod';
import type { TrafficPlan } from '../models/version-choice.ts';
import { ROLLBACK_CAUSES } from '../ops/label-values.ts';
import { ROLLOUT_COURSE, ROLLOUT_LIMITS, type RolloutPlan } from './rollout-plan.ts';
import type { Stage } from './stage.ts';

export interface RolloutEvent {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly text: string;
}

export interface RolloutRecord {
  readonly plan: RolloutPlan;
  readonly stage: Stage;
  /** Oldest first. */
  readonly events: readonly RolloutEvent[];
  /** As `RolloutProgress.baselineP99Ms`. */
  readonly baselineP99Ms: number | undefined;
  /** How the configuration spread requests when the new version was loaded: when it says otherwise, it counts. */
  readonly configured: string | undefined;
  /** SHA-256 of the files of both versions, in hexadecimal, from when both were loaded. */
  readonly digests: { readonly from: string; readonly to: string } | undefined;
  /** Whether the model's requests are spread as the stage says. */
  readonly inForce: boolean;
}

const MAX_EVENTS = 100;
const SCHEMA_NAME = 'tensorgate.rollout/1';
const version = z.string().regex(/^[1-9][0-9]{0,9}$/);

const STAGE = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('loading') }),
  z.strictObject({ kind: z.literal('shadow') }),
  z.strictObject({ kind: z.literal('canary'), step: z.int().min(0) }),
  z.strictObject({ kind: z.literal('promoted') }),
  z.strictObject({ kind: z.literal('rolled_back'), cause: z.enum(ROLLBACK_CAUSES), reason: z.string() }),
]);

const RECORD = z
  .strictObject({
    schema: z.literal(SCHEMA_NAME),
    plan: z.strictObject({
      model: z.string(),
      from: version,
      to: version,
      ...ROLLOUT_COURSE.shape,
      limits: ROLLOUT_LIMITS,
      expectations: z.string(),
    }),
    stage: STAGE,
    events: z.array(z.strictObject({ atMs: z.int(), text: z.string() })),
    baselineP99Ms: z.number().optional(),
    configured: z.string().optional(),
    digests: z.strictObject({ from: z.string(), to: z.string() }).optional(),
    inForce: z.boolean(),
  })
  .refine(({ plan, stage }) => stage.kind !== 'canary' || stage.step < plan.steps.length, {
    error: 'expected a step that the plan has',
    path: ['stage', 'step'],
  });

export function formatRecord(record: RolloutRecord): string {
  return `${JSON.stringify({ schema: SCHEMA_NAME, ...record }, undefined, 2)}\n`;
}

/** @throws Error whose text says what is wrong with it. */
export function parseRecord(text: string): RolloutRecord {
  const parsed = RECORD.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error));
  const { schema: _, baselineP99Ms, configured, digests, ...record } = parsed.data;
  return { ...record, baselineP99Ms, configured, digests };
}

/** The record of a rollout that begins. @param isLoaded whether its new version is READY already */
export function firstRecord(plan: RolloutPlan, isLoaded: boolean): RolloutRecord {
  const how = isLoaded ? 'is to take' : 'is loaded, to take';
  const record: RolloutRecord = {
    plan,
    // The files of both versions are read before the new one gets a copy.
    stage: { kind: 'loading' },
    events: [],
    baselineP99Ms: undefined,
    configured: undefined,
    digests: undefined,
    inForce: true,
  };
  return withEvent(record, `begun: version ${plan.to} of ${plan.model} ${how} the place of version ${plan.from}`);
}

/** The record with one more event, which happens now. The oldest events go. */
export function withEvent(record: RolloutRecord, text: string): RolloutRecord {
  return { ...record, events: [...record.events, { atMs: Date.now(), text }].slice(-MAX_EVENTS) };
}

/** A plan of traffic as a text: equal texts spread requests alike, apart from labels. */
export function describeTraffic({ split, shadow, stickyBy }: TrafficPlan): string {
  const shares = [...split].filter(([, share]) => share > 0).sort(([a], [b]) => Number(a) - Number(b));
  return JSON.stringify({ split: Object.fromEntries(shares), shadow, stickyBy });
}
