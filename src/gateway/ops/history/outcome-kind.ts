import type { Reason } from '../../errors.ts';

/** `refused`: at once, for lack of capacity. `failed`: accepted, and not answered. `caller`: the caller's mistake or wish. */
export type OutcomeKind = 'answered' | 'refused' | 'failed' | 'caller';

const KINDS = {
  malformed_message: 'caller',
  limit_exceeded: 'caller',
  invalid_request: 'caller',
  invalid_data: 'caller',
  model_failed: 'failed',
  model_not_found: 'caller',
  region_not_found: 'caller',
  model_not_ready: 'refused',
  load_failed: 'failed',
  control_disabled: 'caller',
  rollout_refused: 'caller',
  draining: 'refused',
  breaker_open: 'refused',
  runner_lost: 'failed',
  runner_killed_twice: 'failed',
  queue_full: 'refused',
  rate_limited: 'refused',
  cannot_meet_deadline: 'refused',
  deadline_too_short: 'refused',
  overloaded: 'refused',
  deadline_exceeded: 'failed',
  permission_denied: 'caller',
  cancelled: 'caller',
  unimplemented: 'caller',
  internal: 'failed',
} as const satisfies Record<Reason, OutcomeKind>;

/** @param reason `undefined` for a request that was answered */
export function outcomeKind(reason: Reason | undefined): OutcomeKind {
  return reason === undefined ? 'answered' : KINDS[reason];
}
