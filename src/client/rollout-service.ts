/** The messages of `tensorgate.v1.Rollout`, served only by tensorgate, as proto-loader reads them from `proto/`. */

import { type Methods, methodsOf } from './service-methods.ts';

export interface RolloutOptions {
  /** Share of the requests that are copied, above 0, at most 1. */
  readonly shadowShare?: number | undefined;
  /** Comparisons before the new version gets requests of its own. */
  readonly comparisons?: number | undefined;
  /** Shares of the requests that it gets, in percent: ascending, the last 100. */
  readonly steps?: readonly number[] | undefined;
  /** Minimum duration of each step, in milliseconds. */
  readonly holdMs?: number | undefined;
  /** Minimum number of requests that the new version answers in each step. */
  readonly requests?: number | undefined;
  readonly minAgreement?: number | undefined;
  readonly maxErrorRate?: number | undefined;
  readonly maxP99Ratio?: number | undefined;
  /** With it, agreement is counted by comparisons. */
  readonly maxDifference?: number | undefined;
  /** Only say what would be done. */
  readonly dryRun?: boolean | undefined;
}

export type RolloutStage = 'loading' | 'shadow' | 'canary' | 'promoted' | 'rolled_back';

/** How a rollout stands; `proto/tensorgate.proto` says more of each field. */
export interface RolloutState {
  readonly model: string;
  readonly from: string;
  readonly to: string;
  readonly stage: RolloutStage;
  /** Percent of the requests routed to the new version. */
  readonly percent: number;
  readonly detail: string;
  /** Cause of the rollback, in one word; otherwise empty. */
  readonly cause: string;
  readonly shadowShare: number;
  readonly comparisons: number;
  readonly steps: readonly number[];
  readonly holdMs: number;
  readonly requests: number;
  readonly minAgreement: number;
  readonly maxErrorRate: number;
  readonly maxP99Ratio: number;
  readonly maxDifference?: number;
  readonly expectations: string;
  /** Only set while the rollout runs. */
  readonly evidence: RolloutEvidence | null;
  readonly events: readonly RolloutEvent[];
  readonly inForce: boolean;
}

export interface RolloutEvidence {
  readonly compared: number;
  readonly agreeing: number;
  readonly disagreeing: number;
  readonly incomparable: number;
  readonly failedCopies: number;
  readonly shedCopies: number;
  readonly maxAbsoluteDifference: number;
  readonly fromAnswered: number;
  readonly fromFailed: number;
  readonly toAnswered: number;
  readonly toFailed: number;
  readonly fromP99Ms: number;
  readonly toP99Ms: number;
}

export interface RolloutEvent {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly text: string;
}

/** As proto-loader decodes it: the stage by its name. */
export type RolloutStateMessage = Omit<RolloutState, 'stage'> & { readonly stage: string };

interface Model {
  readonly model: string;
}

interface RolloutService {
  Start: { request: RolloutOptions & Model & { readonly version: string }; response: RolloutStateMessage };
  Status: { request: Model; response: { readonly rollouts: readonly RolloutStateMessage[] } };
  Abort: { request: Model; response: RolloutStateMessage };
  Forget: { request: Model; response: object };
}

export function rolloutMethod<Name extends keyof RolloutService>(name: Name): Methods<RolloutService>[Name] {
  return methodsOf<RolloutService>('tensorgate.proto', 'tensorgate.v1.Rollout')[name];
}

export function rolloutStateOf(message: RolloutStateMessage): RolloutState {
  return { ...message, stage: message.stage.replace(/^STAGE_/, '').toLowerCase() as RolloutStage };
}
