/**
 * How one version of a model is served, and why: the JSON of `tensorgate.v1.Models/Explain` and of `tensorgate explain --json`
 * (docs/explain.md). `null` stands for what does not apply, or what a server does not say.
 */

import type { Shape } from './tensor.ts';

export interface ModelExplanation {
  readonly model: string;
  readonly version: string;
  readonly state: string;
  /** Why it is not ready, or how it is served, in a line. */
  readonly reason: string;
  readonly platform: string;
  /** The ONNX file. */
  readonly file: string | null;
  /** How the served model differs from its file. */
  readonly notes: readonly string[];
  readonly inputs: readonly ExplainedTensor[];
  readonly outputs: readonly ExplainedTensor[];
  /** Inputs that keep the default of the model: no request may bring them. */
  readonly fixed_inputs: readonly string[];
  readonly batching: ExplainedBatching | null;
  /** Steps of an ensemble; empty for any other model. */
  readonly steps: readonly { readonly model: string; readonly version: string }[];
  readonly execution: ExplainedExecution | null;
  /** Times of batches, the shape that ran last first; empty before any was measured. */
  readonly costs: readonly ExplainedCost[];
  readonly limits: ExplainedLimits | null;
  readonly traffic: ExplainedTraffic;
  readonly objective: { readonly ms: number; readonly is_derived: boolean } | null;
  /** The settings that decided something of the above. */
  readonly settings: readonly ExplainedSetting[];
  /** Facts that the API of another server does not give; empty for tensorgate. */
  readonly unknown: readonly string[];
}

export interface ExplainedTensor {
  readonly name: string;
  readonly datatype: string;
  /** As clients see it: -1 takes any size. */
  readonly shape: Shape;
  /** A name of the model for each open axis, a size for each other; `null` where the model names none. */
  readonly axes: readonly (number | string)[] | null;
  /** The axis along which requests are stacked; `shared`: one value for all rows of a batch; `null`: none is stacked. */
  readonly batch_axis: number | 'shared' | null;
  readonly labels: { readonly file: string; readonly count: number } | null;
}

/** Findings of runs: how many rows were compared, and by which share of the largest value two answers differed at most. */
export interface ExplainedProof {
  readonly rows_compared: number;
  readonly largest_difference: number;
}

export interface ExplainedBatching {
  readonly enabled: boolean;
  /** Rows of the largest batch; 1 without batching. */
  readonly max_rows: number;
  /** Why requests are not batched; `null` where they are. */
  readonly reason: string | null;
  readonly max_queue_delay_us: number;
  readonly preferred_rows: readonly number[];
  readonly row_check: {
    /** `independent` and `dependent` are shown by runs; `not_run` says why no run was needed. */
    readonly result: 'independent' | 'dependent' | 'not_run';
    readonly reason: string | null;
    readonly proof: ExplainedProof | null;
  } | null;
  /** Axis names that speak against one batch axis, which the row check has settled. */
  readonly axis_doubt: string | null;
  /** Requests of unlike length in one batch; `null` for a model without a length. */
  readonly padding: {
    readonly enabled: boolean;
    readonly reason: string | null;
    readonly proof: ExplainedProof | null;
  } | null;
  /** Rows with recorded answers that were given again. */
  readonly golden_rows: number;
  /** The batch size with the least time per row, beside as many runs of one row. */
  readonly gain: { readonly rows: number; readonly batch_ms: number; readonly one_by_one_ms: number } | null;
}

export interface ExplainedExecution {
  readonly provider: string;
  /** One for each instance: such as `cpu` or `cuda:0`. */
  readonly instances: readonly string[];
  /** In the order of preference. */
  readonly preferred: readonly string[];
  /** Preferred providers that are not used. */
  readonly refused: readonly { readonly provider: string; readonly reason: string }[];
  /** Providers that this build knows and no one asked for. */
  readonly not_preferred: readonly string[];
}

export interface ExplainedCost {
  /** Elements of all inputs in one row, and the size of the longest open axis; `null` where only batches of all shapes are known together. */
  readonly row_elements: number | null;
  readonly length: number | null;
  readonly rows: number;
  /** Time that such a batch takes as a rule. */
  readonly ms: number;
  readonly fastest_ms: number | null;
}

/** Limits of one request; `null`: there is none. */
export interface ExplainedLimits {
  readonly message_bytes: number;
  readonly json_bytes: number;
  readonly output_bytes: number;
  /** Rows of the largest batch. */
  readonly rows: number;
  /** Elements of all inputs in one row; `null` where the model leaves sizes open. */
  readonly row_elements: number | null;
  readonly inputs: number;
  readonly outputs: number;
  readonly axes: number;
  readonly name_bytes: number;
  readonly id_bytes: number;
  readonly parameters: number;
  /** Deadline of a call that sets none. */
  readonly unset_deadline_ms: number;
  readonly longest_deadline_ms: number;
  readonly longest_run_ms: number;
  readonly queue_requests: number | null;
  readonly queue_bytes: number;
}

export interface ExplainedTraffic {
  /** The version that answers a request without a version; `null` where none is ready or it is not known. */
  readonly default_version: string | null;
  readonly versions: readonly { readonly version: string; readonly state: string }[];
  /** How the version of a request without one is chosen. */
  readonly choice: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ExplainedSetting {
  readonly name: string;
  readonly value: string;
  readonly origin: SettingOrigin;
}

export type SettingOrigin =
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: 'flag' | 'environment'; readonly name: string }
  /** A configuration that came with a load request. */
  | { readonly kind: 'request' }
  /** No one gave it: `from` says what it follows from. */
  | { readonly kind: 'derived' | 'default'; readonly from: string };
