/** Labels of metrics whose values are closed sets: series begin at zero with them, and queries are held to them. */

import { REASONS, type Reason, Status } from '../errors.ts';
import type { CacheOutcome, OutcomeLabel, RolloutStage, SendReason, ShadowEnded, ShedCause } from './diagnostics.ts';

/** Every member of a union: one that is missing does not compile. */
function valuesOf<Value extends string>(all: Readonly<Record<Value, true>>): readonly Value[] {
  return Object.keys(all) as Value[];
}

export const STATUSES = Object.keys(Status);
/** `none`: the request was answered. */
export const REQUEST_REASONS: readonly string[] = ['none', ...Object.keys(REASONS)];

export const SEND_REASONS = valuesOf<SendReason>({
  full: true,
  preferred: true,
  idle: true,
  delay: true,
  deadline: true,
  alone: true,
});
export const BATCH_OUTCOMES = valuesOf<OutcomeLabel>({
  ok: true,
  refused: true,
  failed: true,
  crashed: true,
  timed_out: true,
  overran: true,
  abandoned: true,
  interrupted: true,
});
export const CACHE_OUTCOMES = valuesOf<CacheOutcome>({ hit: true, joined: true, miss: true });
export const SHED_CAUSES = valuesOf<ShedCause>({
  server_busy: true,
  primary_busy: true,
  shadow_busy: true,
  no_room: true,
  not_ready: true,
  breaker_open: true,
});

export type ComparisonResult = Extract<ShadowEnded['outcome'], { readonly kind: 'compared' }>['result'];
export const COMPARISON_RESULTS = valuesOf<ComparisonResult>({ equal: true, different: true, incomparable: true });

export const ROLLOUT_STAGES = valuesOf<RolloutStage>({
  loading: true,
  shadow: true,
  canary: true,
  promoted: true,
  rolled_back: true,
});
/**
 * Cause of a rollback. `not_ready`: a version does not load, or is gone. `crashed`: its process ended. `incomparable`: its outputs
 * are of another kind. `disagreement`, `errors`, `slow`: a limit. `changed`: files of a version have changed since the start.
 * `reconfigured`: the configuration routes requests otherwise. `aborted`: a client requested it.
 */
export const ROLLBACK_CAUSES = [
  'not_ready',
  'crashed',
  'incomparable',
  'disagreement',
  'errors',
  'slow',
  'changed',
  'reconfigured',
  'aborted',
] as const;

/** Which requests can end with a reason: those whose model was found, those whose model was not, or no inference at all. */
const ENDS = {
  malformed_message: 'unfound',
  limit_exceeded: 'any',
  invalid_request: 'any',
  invalid_data: 'found',
  model_not_found: 'unfound',
  region_not_found: 'none',
  model_not_ready: 'any',
  load_failed: 'none',
  control_disabled: 'none',
  rollout_refused: 'none',
  draining: 'any',
  breaker_open: 'found',
  runner_lost: 'found',
  runner_killed_twice: 'found',
  queue_full: 'any',
  rate_limited: 'unfound',
  cannot_meet_deadline: 'found',
  deadline_too_short: 'found',
  overloaded: 'found',
  deadline_exceeded: 'any',
  permission_denied: 'none',
  cancelled: 'any',
  unimplemented: 'any',
  model_failed: 'found',
  internal: 'any',
} as const satisfies Record<Reason, 'found' | 'unfound' | 'any' | 'none'>;

function reasonsOf(kind: 'found' | 'unfound'): readonly Reason[] {
  return (Object.keys(ENDS) as Reason[]).filter((reason) => ENDS[reason] === kind || ENDS[reason] === 'any');
}

/** Reasons of requests whose model was found. */
export const MODEL_REASONS = reasonsOf('found');
/** Reasons of requests whose model was not found, or not looked for. */
export const UNKNOWN_MODEL_REASONS = reasonsOf('unfound');
