/**
 * A model's configuration: Triton's field names (`model_config.proto`) in YAML or JSON, and a section of our own.
 * Every default of a model lives here. All of it is optional: what is not said is read from the ONNX file.
 */

import fs from 'node:fs';
import { z } from 'zod';
import { EXECUTION_PROVIDERS } from '../../worker/protocol.ts';
import { parseYaml } from './yaml-document.ts';

const DATA_TYPES = [
  'TYPE_BOOL',
  'TYPE_UINT8',
  'TYPE_UINT16',
  'TYPE_UINT32',
  'TYPE_UINT64',
  'TYPE_INT8',
  'TYPE_INT16',
  'TYPE_INT32',
  'TYPE_INT64',
  'TYPE_FP16',
  'TYPE_FP32',
  'TYPE_FP64',
  'TYPE_STRING',
] as const;

/** The longest that Node's timers wait. */
const MAX_TIMER_MS = 0x7fff_ffff;

const positive = z.int().min(1);
const natural = z.int().min(0);
const dims = z.array(z.int().min(-1));
/** Triton writes `{string_value: "1"}`; a plain scalar means the same. */
const parameter = z
  .union([
    z.strictObject({ string_value: z.string() }).transform(({ string_value }) => string_value),
    z.string(),
    z.number(),
    z.boolean(),
  ])
  .transform(String);

const instanceGroup = z.strictObject({
  /** Instances on the CPU, or on each of `gpus`. */
  count: positive.optional(),
  kind: z.enum(['KIND_AUTO', 'KIND_CPU', 'KIND_GPU']).default('KIND_AUTO'),
  /** Device ids; each gets `count` instances, pinned to it. */
  gpus: z.array(natural).default([]),
});

/** Triton's `ModelQueuePolicy`. */
const queuePolicy = z.strictObject({
  /** What happens to a request whose time is over while it waits: it fails, or it waits behind all others. */
  timeout_action: z.enum(['REJECT', 'DELAY']).default('REJECT'),
  /** Time of a request that brings none that is shorter; 0: none. */
  default_timeout_microseconds: natural.default(0),
  /** Whether the parameter `timeout` of a request is heard; only a shorter time than the default counts. */
  allow_timeout_override: z.boolean().default(true),
  /** Requests that may wait; 0: any number, bounded in bytes alone. */
  max_queue_size: natural.optional(),
});

const dynamicBatching = z.strictObject({
  preferred_batch_size: z.array(positive).default([]),
  /** How long the oldest request is held back for company; 0: an idle instance never waits. */
  max_queue_delay_microseconds: natural.default(0),
  /** Levels of the parameter `priority`, 1 the most urgent; 0: there are none. */
  priority_levels: natural.max(1_000).default(0),
  /** Level of a request that names none. */
  default_priority_level: natural.default(0),
  default_queue_policy: queuePolicy.prefault({}),
  /** By level. */
  priority_queue_policy: z.record(z.string().regex(/^[1-9][0-9]{0,3}$/), queuePolicy).default({}),
});

const sequenceState = z.strictObject({
  input_name: z.string(),
  output_name: z.string(),
  data_type: z.enum(DATA_TYPES),
  /** Of one sequence: without the batch axis. */
  dims,
  /** What a sequence starts with; without it, zeros. */
  initial_state: z
    .array(
      z.strictObject({
        name: z.string(),
        data_type: z.enum(DATA_TYPES),
        dims,
        zero_data: z.boolean().optional(),
        /** A file in `initial_state/` beside the versions, with the raw bytes. */
        data_file: z.string().optional(),
      }),
    )
    .max(1)
    .default([]),
});

const sequenceControl = z.strictObject({
  kind: z.enum(['CONTROL_SEQUENCE_START', 'CONTROL_SEQUENCE_READY', 'CONTROL_SEQUENCE_END', 'CONTROL_SEQUENCE_CORRID']),
  int32_false_true: z.array(z.int()).length(2).optional(),
  fp32_false_true: z.array(z.number()).length(2).optional(),
  bool_false_true: z.array(z.boolean()).length(2).optional(),
  /** Of the correlation id: `TYPE_UINT64`, `TYPE_INT64`, `TYPE_UINT32`, `TYPE_INT32` or `TYPE_STRING`. */
  data_type: z.enum(DATA_TYPES).optional(),
});

/** Triton's `ModelSequenceBatching`. */
const sequenceBatching = z.strictObject({
  /** A sequence without a request for so long is forgotten. */
  max_sequence_idle_microseconds: positive.default(1_000_000),
  control_input: z.array(z.strictObject({ name: z.string(), control: z.array(sequenceControl).min(1) })).default([]),
  state: z.array(sequenceState).default([]),
  direct: z
    .strictObject({
      max_queue_delay_microseconds: natural.default(0),
      minimum_slot_utilization: z.number().min(0).max(1).default(0),
    })
    .optional(),
  oldest: z
    .strictObject({
      max_candidate_sequences: positive.default(1_024),
      preferred_batch_size: z.array(positive).default([]),
      max_queue_delay_microseconds: natural.default(0),
      preserve_ordering: z.boolean().default(false),
    })
    .optional(),
});

/** Triton's `ModelEnsembling`. */
const ensembleScheduling = z.strictObject({
  step: z
    .array(
      z.strictObject({
        model_name: z.string(),
        /** -1, or none: the one that the model's own requests would get. */
        model_version: z.int().min(-1).default(-1),
        /** From the step's input to the ensemble's tensor. */
        input_map: z.record(z.string(), z.string()),
        /** From the step's output to the ensemble's tensor. */
        output_map: z.record(z.string(), z.string()),
      }),
    )
    .min(1),
});

const versionNumber = z.string().regex(/^[1-9][0-9]{0,9}$/, 'expected a version number');

/** Which versions answer requests that name none. Without any of it: the highest that is READY. */
const traffic = z.strictObject({
  /** Shares of the requests by version; their sum is the whole. */
  split: z.record(versionNumber, z.number().min(0)).optional(),
  /** A metadata key: requests with the same value of it get the same version. */
  sticky_by: z.string().optional(),
  /** Gets copies of a share of the requests; its answers are compared and thrown away. */
  shadow: z.strictObject({ version: positive, share: z.number().gt(0).max(1).default(1) }).optional(),
});

const ours = z.strictObject({
  /** Model versions that name the same runner share one process. Meant for small models; a crash hits them together. */
  runner: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
    .optional(),
  /** In order of preference. Default: the server's `execution_providers`. */
  execution_providers: z.array(z.enum(EXECUTION_PROVIDERS)).min(1).optional(),
  /** Fail the load rather than use a later provider. Default: the server's. */
  strict_execution_providers: z.boolean().optional(),
  /** Bytes of tensors that may wait. */
  max_queue_bytes: positive.default(256 * 1024 * 1024),
  /** No run is given longer; its runner is killed then. Usually the limit is learned, and far below. */
  max_run_ms: positive.max(MAX_TIMER_MS).default(60_000),
  /** `assume` skips the check that a row's answer does not depend on the other rows of its batch. */
  row_independence: z.enum(['verify', 'assume']).default('verify'),
  /** Names for versions, such as `stable: 3`, that requests may use as `model_version`. */
  labels: z.record(z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,63}$/), positive).default({}),
  traffic: traffic.prefault({}),
  /** Stays loaded when others are put out to make room for a model that is asked for. */
  pinned: z.boolean().default(false),
  /** Sequences that may live at the same time. */
  max_sequences: positive.default(10_000),
  /** Bytes that the response cache of one version may hold; used where `response_cache.enable` is true. */
  max_cache_bytes: positive.default(64 * 1024 * 1024),
});

export const MODEL_CONFIG = z.strictObject({
  name: z.string().optional(),
  platform: z.enum(['onnxruntime_onnx', 'ensemble']).optional(),
  backend: z.literal('onnxruntime').optional(),
  /** Most rows of a batch; 0: no batching, `dims` are whole shapes. */
  max_batch_size: natural.optional(),
  input: z
    .array(z.strictObject({ name: z.string(), data_type: z.enum(DATA_TYPES).optional(), dims: dims.optional() }))
    .default([]),
  output: z
    .array(
      z.strictObject({
        name: z.string(),
        data_type: z.enum(DATA_TYPES).optional(),
        dims: dims.optional(),
        /** A file beside the configuration: one label a line, in the order of the output's elements. */
        label_filename: z.string().optional(),
      }),
    )
    .default([]),
  version_policy: z
    .union([
      z.strictObject({ all: z.strictObject({}) }),
      z.strictObject({ latest: z.strictObject({ num_versions: positive.default(1) }) }),
      z.strictObject({ specific: z.strictObject({ versions: z.array(positive).min(1) }) }),
    ])
    .default({ all: {} }),
  instance_group: z.array(instanceGroup).default([]),
  dynamic_batching: dynamicBatching.prefault({}),
  /** Requests that belong together, by their correlation id. */
  sequence_batching: sequenceBatching.optional(),
  /** A graph of other models; such a model has no file of its own. */
  ensemble_scheduling: ensembleScheduling.optional(),
  /** Answers a request that came before without running the model. */
  response_cache: z.strictObject({ enable: z.boolean() }).optional(),
  default_model_filename: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'expected a file name without directories')
    .default('model.onnx'),
  /** ONNX Runtime options by Triton's names: `intra_op_thread_count`, `execution_mode`, `session.*`, … */
  parameters: z.record(z.string(), parameter).default({}),
  optimization: z.strictObject({ graph: z.strictObject({ level: z.int().min(-1).max(2) }) }).optional(),
  tensorgate: ours.prefault({}),
});

export type ModelConfig = Readonly<z.output<typeof MODEL_CONFIG>>;

/** A configuration that cannot be used: the text is `file:line:column: what is wrong`. */
export class ModelConfigError extends Error {}

/** Requests that may wait where the configuration says nothing. */
export const DEFAULT_MAX_QUEUE_SIZE = 1_024;
/** Most rows of a batch where the model can be batched and the configuration says nothing. */
export const DEFAULT_MAX_BATCH_SIZE = 64;

/**
 * Reads a model's configuration; without a file, the defaults.
 * @throws ModelConfigError
 */
export function readModelConfig(configPath: string | undefined, modelName: string): ModelConfig {
  if (configPath === undefined) return MODEL_CONFIG.parse({});
  const parsed = parseYaml(fs.readFileSync(configPath, 'utf8'), configPath, MODEL_CONFIG);
  if (parsed.kind === 'problems') throw new ModelConfigError(parsed.problems.join('; '));
  const config = parsed.value;
  if (config.name !== undefined && config.name !== modelName) {
    throw new ModelConfigError(
      `${configPath}: name is '${config.name}', but the directory is '${modelName}': they must be equal`,
    );
  }
  return config;
}
