/** The messages that the services send, as objects of the shape in `proto/`. */

/** A `uint64` as a decimal text: sums of nanoseconds pass 2^53 within months. */
export type Uint64 = string;

export interface StatisticDurationMessage {
  readonly count: Uint64;
  readonly ns: Uint64;
}

/** `ModelStatistics`: one version of a model. The counts of the three compute durations are equal. */
export interface ModelStatisticsMessage {
  readonly name: string;
  readonly version: string;
  /** Milliseconds since the epoch; 0 before the first request. */
  readonly last_inference: Uint64;
  readonly inference_count: Uint64;
  readonly execution_count: Uint64;
  readonly inference_stats: {
    readonly success: StatisticDurationMessage;
    readonly fail: StatisticDurationMessage;
    readonly queue: StatisticDurationMessage;
    readonly compute_input: StatisticDurationMessage;
    readonly compute_infer: StatisticDurationMessage;
    readonly compute_output: StatisticDurationMessage;
    readonly cache_hit: StatisticDurationMessage;
    readonly cache_miss: StatisticDurationMessage;
    /** Passed to `fail`: the caller went away. */
    readonly cancel: StatisticDurationMessage;
    /** Passed to `fail`: refused, or dropped in the queue. */
    readonly reject: StatisticDurationMessage;
  };
  readonly batch_stats: readonly {
    readonly batch_size: Uint64;
    readonly compute_input: StatisticDurationMessage;
    readonly compute_infer: StatisticDurationMessage;
    readonly compute_output: StatisticDurationMessage;
  }[];
}

export interface ModelIndexMessage {
  readonly name: string;
  /** Empty for a model that was never loaded. */
  readonly version: string;
  readonly state: '' | 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE';
  readonly reason: string;
}

/** `ModelInput` and `ModelOutput`, as far as they are alike. */
export interface ModelTensorMessage {
  readonly name: string;
  /** Such as `TYPE_FP32`. */
  readonly data_type: string;
  /** Without the batch axis where there is one. */
  readonly dims: readonly number[];
  /** True for an input that requests may leave out. */
  readonly optional?: boolean;
}

/** `ModelConfig`: the part of it that a model has here. */
export interface ModelConfigMessage {
  readonly name: string;
  readonly platform: string;
  readonly backend: string;
  readonly default_model_filename?: string;
  readonly version_policy?:
    | { readonly latest: { readonly num_versions: number } }
    | { readonly all: object }
    | { readonly specific: { readonly versions: readonly string[] } };
  /** Rows of the largest batch; 0: the model does not batch. */
  readonly max_batch_size: number;
  readonly input: readonly ModelTensorMessage[];
  readonly output: readonly (ModelTensorMessage & { readonly label_filename?: string })[];
  readonly instance_group?: readonly {
    readonly name: string;
    readonly kind: 'KIND_CPU' | 'KIND_GPU';
    readonly count: number;
    readonly gpus: readonly number[];
  }[];
  readonly dynamic_batching?: {
    readonly preferred_batch_size: readonly number[];
    readonly max_queue_delay_microseconds: number;
    readonly priority_levels?: number;
    readonly default_priority_level?: number;
    readonly default_queue_policy?: QueuePolicyMessage;
    readonly priority_queue_policy?: Readonly<Record<string, QueuePolicyMessage>>;
  };
  /** `ModelSequenceBatching`; stands in the place of `dynamic_batching`. */
  readonly sequence_batching?: object;
  readonly ensemble_scheduling?: {
    readonly step: readonly {
      readonly model_name: string;
      readonly model_version: number | string;
      readonly input_map: Readonly<Record<string, string>>;
      readonly output_map: Readonly<Record<string, string>>;
    }[];
    readonly max_inflight_requests?: number | undefined;
  };
  readonly response_cache?: { readonly enable: boolean };
  readonly parameters?: Readonly<Record<string, { readonly string_value: string }>>;
}

/** Times in microseconds. */
export interface QueuePolicyMessage {
  readonly timeout_action: 'REJECT' | 'DELAY';
  readonly default_timeout_microseconds: number;
  readonly allow_timeout_override: boolean;
  /** 0: any number. */
  readonly max_queue_size: number;
}
