/** `tensorgate.v1.Rollout`: requests of a model go from one version to another, step by step. */

import { audited } from '../ops/audit.ts';
import type { Method, Routes, Screen } from './call.ts';
import { loadCodecs } from './definition.ts';
import { refusal, type ServedRpcs } from './inference-service.ts';
import { unaryMethods } from './unary-method.ts';

const ROLLOUT_SERVICE = 'tensorgate.v1.Rollout';

/** A `StartRolloutRequest` as in `proto/tensorgate.proto`; optional fields are absent unless set. */
export interface StartRolloutMessage {
  readonly model: string;
  readonly version: string;
  readonly shadow_share?: number;
  readonly comparisons?: number;
  /** Empty unless set. */
  readonly steps: readonly number[];
  readonly hold_ms?: string;
  readonly requests?: number;
  readonly min_agreement?: number;
  readonly max_error_rate?: number;
  readonly max_p99_ratio?: number;
  readonly max_difference?: number;
  readonly dry_run: boolean;
}

export interface RolloutStateMessage {
  readonly model: string;
  readonly from: string;
  readonly to: string;
  readonly stage: `STAGE_${'LOADING' | 'SHADOW' | 'CANARY' | 'PROMOTED' | 'ROLLED_BACK'}`;
  readonly percent: number;
  readonly detail: string;
  readonly cause: string;
  readonly shadow_share: number;
  readonly comparisons: number;
  readonly steps: readonly number[];
  readonly hold_ms: number;
  readonly requests: number;
  readonly min_agreement: number;
  readonly max_error_rate: number;
  readonly max_p99_ratio: number;
  readonly max_difference?: number;
  readonly expectations: string;
  readonly evidence?: RolloutEvidenceMessage;
  readonly events: readonly { readonly at_ms: number; readonly text: string }[];
  readonly in_force: boolean;
}

export interface RolloutEvidenceMessage {
  readonly compared: number;
  readonly agreeing: number;
  readonly disagreeing: number;
  readonly incomparable: number;
  readonly failed_copies: number;
  readonly shed_copies: number;
  readonly max_absolute_difference: number;
  readonly from_answered: number;
  readonly from_failed: number;
  readonly to_answered: number;
  readonly to_failed: number;
  readonly from_p99_ms: number;
  readonly to_p99_ms: number;
}

interface ModelRequest {
  readonly model: string;
}

interface RolloutRpcs {
  readonly Start: { readonly request: StartRolloutMessage; readonly response: RolloutStateMessage };
  readonly Status: {
    readonly request: ModelRequest;
    readonly response: { readonly rollouts: readonly RolloutStateMessage[] };
  };
  readonly Abort: { readonly request: ModelRequest; readonly response: RolloutStateMessage };
  readonly Forget: { readonly request: ModelRequest; readonly response: object };
}

/** The implementation of the service; a thrown error becomes the status. */
export interface RolloutApi {
  start(request: StartRolloutMessage): Promise<RolloutStateMessage>;
  status(model: string): readonly RolloutStateMessage[];
  abort(model: string): Promise<RolloutStateMessage>;
  forget(model: string): Promise<void>;
}

/** The RPCs of the service; with an admin port, all of them are served only there. */
export function rolloutRoutes(api: RolloutApi, served: ServedRpcs, screen?: Screen): Routes {
  const codecs = loadCodecs<RolloutRpcs>(ROLLOUT_SERVICE);
  const methods = unaryMethods(codecs, {
    Start: (request, by) => {
      if (request.dry_run) return api.start(request);
      const { model, version } = request;
      return audited({ by, action: 'rollout.start', model, detail: `to version ${version || 'newest'}` }, () =>
        api.start(request),
      );
    },
    Status: ({ model }) => ({ rollouts: api.status(model) }),
    Abort: ({ model }, by) => audited({ by, action: 'rollout.abort', model, detail: '' }, () => api.abort(model)),
    Forget: async ({ model }, by) => {
      await audited({ by, action: 'rollout.forget', model, detail: '' }, () => api.forget(model));
      return {};
    },
  });
  const routes = new Map<string, Method>();
  for (const [name, method] of methods) {
    const route = served === 'without-admin' ? refusal(name, served) : { ...method, screen };
    routes.set(`/${ROLLOUT_SERVICE}/${name}`, route);
  }
  return routes;
}
