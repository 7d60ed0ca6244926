/** The calls about rollouts, as messages. */

import type {
  RolloutApi,
  RolloutEvidenceMessage,
  RolloutStateMessage,
  StartRolloutMessage,
} from '../accept/rollout-service.ts';
import type { Evidence } from '../rollout/evidence.ts';
import type { RolloutRequest } from '../rollout/rollout-request.ts';
import type { Rollouts, RolloutView } from '../rollout/rollouts.ts';
import { percentOf, type Stage } from '../rollout/stage.ts';

export function rolloutApi(rollouts: Rollouts): RolloutApi {
  return {
    start: async (message) => {
      const request = requestOf(message);
      return stateOf(await (message.dry_run ? rollouts.rehearse(request) : rollouts.start(request)));
    },
    status: (model) => rollouts.status(model).map(stateOf),
    abort: async (model) => stateOf(await rollouts.abort(model)),
    forget: (model) => rollouts.forget(model),
  };
}

function requestOf(message: StartRolloutMessage): RolloutRequest {
  const { model, version, steps, hold_ms: holdMs } = message;
  return {
    model,
    version,
    course: given({
      shadowShare: message.shadow_share,
      comparisons: message.comparisons,
      steps: steps.length === 0 ? undefined : [...steps],
      holdMs: holdMs === undefined ? undefined : Number(holdMs),
      requests: message.requests,
    }),
    limits: given({
      minAgreement: message.min_agreement,
      maxErrorRate: message.max_error_rate,
      maxP99Ratio: message.max_p99_ratio,
      maxDifference: message.max_difference,
    }),
  };
}

type Given<Fields> = { readonly [Key in keyof Fields]?: Exclude<Fields[Key], undefined> };

function given<Fields extends object>(fields: Fields): Given<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<Fields>;
}

const STAGES = {
  loading: 'STAGE_LOADING',
  shadow: 'STAGE_SHADOW',
  canary: 'STAGE_CANARY',
  promoted: 'STAGE_PROMOTED',
  rolled_back: 'STAGE_ROLLED_BACK',
} as const satisfies Record<Stage['kind'], RolloutStateMessage['stage']>;

function stateOf({ record, detail, evidence }: RolloutView): RolloutStateMessage {
  const { plan, stage, events, inForce } = record;
  const { limits } = plan;
  return {
    model: plan.model,
    from: plan.from,
    to: plan.to,
    stage: STAGES[stage.kind],
    percent: percentOf(stage, plan),
    detail,
    cause: stage.kind === 'rolled_back' ? stage.cause : '',
    shadow_share: plan.shadowShare,
    comparisons: plan.comparisons,
    steps: plan.steps,
    hold_ms: plan.holdMs,
    requests: plan.requests,
    min_agreement: limits.minAgreement,
    max_error_rate: limits.maxErrorRate,
    max_p99_ratio: limits.maxP99Ratio,
    ...(limits.maxDifference !== undefined && { max_difference: limits.maxDifference }),
    expectations: plan.expectations,
    ...(evidence !== undefined && { evidence: evidenceOf(evidence) }),
    events: events.map(({ atMs, text }) => ({ at_ms: atMs, text })),
    in_force: inForce,
  };
}

function evidenceOf({ copies, fromRequests, toRequests }: Evidence): RolloutEvidenceMessage {
  return {
    compared: copies.compared,
    agreeing: copies.agreeing,
    disagreeing: copies.disagreeing,
    incomparable: copies.incomparable,
    failed_copies: copies.failed,
    shed_copies: copies.shed,
    max_absolute_difference: copies.maxAbsolute,
    from_answered: fromRequests.latencies.count,
    from_failed: fromRequests.failed,
    to_answered: toRequests.latencies.count,
    to_failed: toRequests.failed,
    from_p99_ms: fromRequests.latencies.quantile(0.99),
    to_p99_ms: toRequests.latencies.quantile(0.99),
  };
}
