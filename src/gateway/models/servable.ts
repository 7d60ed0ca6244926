/** A servable answers requests under a name and a version: an ONNX model, or an ensemble of other models. */

import type { ExecutionProvider, SessionInfo } from '../../worker/protocol.ts';
import type { BatchAxis } from '../admit/infer-tensors.ts';
import type { Batcher } from '../batch/batcher.ts';
import type { LearnedCost } from '../batch/cost-model.ts';
import type { Occupancy } from '../batch/occupancy.ts';
import type { InferError } from '../errors.ts';
import type { BreakerState, ModelRef, ModelState, Prediction } from '../ops/diagnostics.ts';
import type { ModelConfig } from '../repository/config/model-config.ts';
import type { StepPlatform } from '../repository/config/step-schema.ts';
import type { ModelSignature } from '../repository/signature/model-signature.ts';
import type { ModelStatistics } from './model-statistics.ts';
import type { ModelPlan } from './planned-version.ts';
import type { ProbeShape } from './trial/synthetic-input.ts';
import type { TrialFindings } from './trial/trial-findings.ts';

/** Parts of a loaded version. */
export interface Served {
  readonly signature: ModelSignature;
  readonly axis: BatchAxis;
  readonly batcher: Batcher;
  /** A made-up request that ran in its trial; absent where none did, and for what has no trial of its own. */
  readonly probe?: ProbeShape | undefined;
  /** A request gets any number of answers, before the last one. */
  readonly isDecoupled?: boolean;
}

/** How it is known that a version is to be served as it is. */
export interface ServingEvidence {
  readonly session: SessionInfo;
  readonly trial: TrialFindings;
}

export interface Placement {
  readonly provider: ExecutionProvider;
  readonly deviceId: number;
}

export interface Servable {
  readonly ref: ModelRef;
  readonly config: ModelConfig;
  /** Everything that was known before it was loaded. */
  readonly plan: ModelPlan;
  /** `onnxruntime_onnx` or `ensemble`, as Triton names them, or a step's. */
  readonly platform: 'onnxruntime_onnx' | 'ensemble' | StepPlatform;
  readonly statistics: ModelStatistics;
  readonly state: ModelState;
  /** Why it is not ready, or how it is served. */
  readonly detail: string;
  /** It served, has no instance that lives, and comes back by itself: requests that can wait for it are queued. */
  readonly isDown: boolean;
  /** The process that it runs in, possibly shared; `undefined` while there is none. */
  readonly pid: number | undefined;
  /** The file of each instance; empty for what has none of its own. */
  readonly modelPaths: readonly string[];
  /** One for each instance; empty before it is READY, and for what has none of its own. */
  readonly placements: readonly Placement[];
  readonly breaker: BreakerState;
  readonly queuedRequests: number;
  readonly queuedRows: number;
  /** How full its queue and its instances are; `undefined` before it is READY, and for what has no instances of its own. */
  readonly occupancy?: Occupancy | undefined;
  /** Bytes of its response cache; `undefined` without one. */
  readonly cacheBytes?: number | undefined;
  /** Times that its batches are predicted to take; absent for what runs none of its own. */
  readonly predictions?: readonly Prediction[] | undefined;
  /** Times that its batches were seen to take; absent for what runs none of its own. */
  readonly learnedCosts?: readonly LearnedCost[] | undefined;
  /** Time within which a call without a deadline should be answered; absent for what has no queue of its own. */
  readonly usualObjectiveMs?: number | undefined;
  /** Absent before it was loaded, and for what has no session of its own. */
  readonly evidence?: ServingEvidence | undefined;
  /** Share of padding among the elements along its length that it computed; `undefined` where its requests are not padded. */
  readonly paddingShare?: number | undefined;
  /** @throws InferError `model_not_ready`, with what it is doing instead. */
  readonly ready: Served;
  /** Loads, verifies and warms it, and makes it READY. Never rejects: what went wrong becomes its state. */
  load(): Promise<void>;
  /** Fails what still waits. */
  abandon(error: InferError): void;
  /** Resolves when nothing waits and nothing runs. */
  drained(): Promise<void>;
  /** Ends its instances. To be called when it is drained. */
  close(): void;
}
