/** The stages of a rollout, and how each routes the model's requests. */

import type { TrafficOverride } from '../models/traffic.ts';
import type { ROLLBACK_CAUSES } from '../ops/label-values.ts';
import type { RolloutPlan } from './rollout-plan.ts';

export type RollbackCause = (typeof ROLLBACK_CAUSES)[number];

export type Stage =
  | { readonly kind: 'loading' }
  | { readonly kind: 'shadow' }
  /** @param step of the plan's steps, from 0 */
  | { readonly kind: 'canary'; readonly step: number }
  | { readonly kind: 'promoted' }
  | { readonly kind: 'rolled_back'; readonly cause: RollbackCause; readonly reason: string };

export function isOver({ kind }: Stage): boolean {
  return kind === 'promoted' || kind === 'rolled_back';
}

/** Percent of the requests that the new version answers. */
export function percentOf(stage: Stage, { steps }: Pick<RolloutPlan, 'steps'>): number {
  if (stage.kind === 'promoted') return 100;
  return stage.kind === 'canary' ? (steps[stage.step] ?? 0) : 0;
}

/**
 * How requests are spread. Copies go on while the version before answers some: agreement is watched as long as it can be. A
 * version that is not to answer yet, or any more, stays a shadow without copies: it is passed over even where the other is not
 * READY, and there is a third one.
 */
export function trafficOverrideOf(stage: Stage, plan: RolloutPlan): TrafficOverride {
  const { from, to, shadowShare } = plan;
  const percent = percentOf(stage, plan);
  const split = new Map([
    ...(percent < 100 ? ([[from, 100 - percent]] as const) : []),
    ...(percent > 0 ? ([[to, percent]] as const) : []),
  ]);
  if (percent === 100) return { split, shadow: undefined };
  const copies = stage.kind === 'shadow' || stage.kind === 'canary';
  return { split, shadow: { version: to, share: copies ? shadowShare : 0 } };
}

/** `shadow at 10 %`, `canary at 1 %`, … */
export function describeStage(stage: Stage, plan: RolloutPlan): string {
  switch (stage.kind) {
    case 'loading':
      return 'loading';
    case 'shadow':
      return `shadow of ${Number((plan.shadowShare * 100).toFixed(3))} %`;
    case 'canary':
      return `canary at ${percentOf(stage, plan)} %`;
    case 'promoted':
      return 'promoted';
    case 'rolled_back':
      return `rolled back (${stage.cause})`;
  }
}
