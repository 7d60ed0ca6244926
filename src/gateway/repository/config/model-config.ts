/**
 * A model's configuration: Triton's fields (`model_config.proto`), and a section of our own. All defaults of a model are here. Every
 * field is optional: omitted ones are read from the ONNX file.
 */

import { z } from 'zod';
import { MAX_TIMER_MS } from '../../../timer-limit.ts';
import { EXECUTION_PROVIDERS } from '../../../worker/protocol.ts';
import { VERSION_KEY, VERSION_NUMBER } from '../version-number.ts';
import { INNER_PATH, isInnerPath } from './inner-path.ts';

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

const positive = z.int().min(1);
const natural = z.int().min(0);
/** Protobuf's JSON, sent by Triton's clients, writes 64-bit integers as texts. */
const int64 = (least: number, most = Number.MAX_SAFE_INTEGER) => {
  const read = (value: unknown): unknown =>
    typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  return z.preprocess(read, z.int().min(least).max(most));
};
const dims = z.array(int64(-1));
const dataType = z.enum(DATA_TYPES);
/** Triton writes `{string_value: "1"}`; a plain scalar means the same. */
const parameter = z
  .union([
    z.strictObject({ string_value: z.string() }).transform(({ string_value }) => string_value),
    z.string(),
    z.number(),
    z.boolean(),
  ])
  .transform(String);
const texts = z.record(z.string(), z.string());

/** Stands for the key `__proto__`, which zod leaves out of records. */
const PROTO = '\0__proto__';

/** An object by names that users choose, as a Map: `constructor` and `__proto__` are names like others. */
function byName<Value extends z.ZodType>(
  value: Value,
): z.ZodType<ReadonlyMap<string, z.output<Value>>, Readonly<Record<string, z.input<Value>>>> {
  const renamed = (from: string, to: string, entries: object) =>
    Object.entries(entries).map(([name, each]) => [name === from ? to : name, each] as const);
  const read = (given: unknown): unknown =>
    typeof given === 'object' && given !== null && Object.hasOwn(given, '__proto__')
      ? Object.fromEntries(renamed('__proto__', PROTO, given))
      : given;
  return z
    .preprocess(read, z.record(z.string(), value))
    .transform((record) => new Map(renamed(PROTO, '__proto__', record))) as z.ZodType<
    ReadonlyMap<string, z.output<Value>>,
    Readonly<Record<string, z.input<Value>>>
  >;
}

/** Fields that would need an unsupported feature. */
const REFUSED = 'Refused.';
/** Triton's fields without effect on this server. */
const NO_EFFECT = 'No effect here; the server logs a warning.';

const instanceGroup = z.strictObject({
  name: z.string().optional().describe('Ignored: Triton names every group, and clients send the name back.'),
  count: positive.optional().describe('Instances on the CPU, or on each of `gpus`.'),
  kind: z
    .enum(['KIND_AUTO', 'KIND_CPU', 'KIND_GPU'], {
      error: 'expected KIND_AUTO, KIND_CPU or KIND_GPU; KIND_MODEL is for backends that place a model themselves',
    })
    .default('KIND_AUTO'),
  gpus: z.array(natural).default([]).describe('Device ids; each gets `count` instances, pinned to it.'),
  profile: z.array(z.string()).optional().describe(NO_EFFECT),
  rate_limiter: z
    .strictObject({
      resources: z
        .array(z.strictObject({ name: z.string(), global: z.boolean().optional(), count: natural.optional() }))
        .optional(),
      priority: natural.optional(),
    })
    .optional()
    .describe(NO_EFFECT),
  passive: z.boolean().optional().describe(REFUSED),
  secondary_devices: z
    .array(z.strictObject({ kind: z.literal('KIND_NVDLA').optional(), device_id: int64(0).optional() }))
    .optional()
    .describe(REFUSED),
  host_policy: z.string().optional().describe(NO_EFFECT),
});

const queuePolicy = z
  .strictObject({
    timeout_action: z
      .enum(['REJECT', 'DELAY'])
      .default('REJECT')
      .describe(
        'Treatment of a request that expires in the queue: `REJECT` fails it, `DELAY` moves it behind all others.',
      ),
    default_timeout_microseconds: int64(0)
      .default(0)
      .describe('Queue time limit of a request without a shorter one; 0: no limit.'),
    allow_timeout_override: z
      .boolean()
      .default(true)
      .describe('Whether the parameter `timeout` of a request applies; it can only shorten the time.'),
    max_queue_size: natural.optional().describe('Maximum number of waiting requests; 0: bounded only in bytes.'),
  })
  .describe("Triton's `ModelQueuePolicy`.");

const dynamicBatching = z.strictObject({
  preferred_batch_size: z
    .array(positive)
    .default([])
    .describe('Batch sizes that are sent as soon as enough rows wait.'),
  max_queue_delay_microseconds: int64(0)
    .default(0)
    .describe('Maximum time to hold the oldest request for a larger batch; 0: an idle instance never waits.'),
  preserve_ordering: z
    .boolean()
    .default(false)
    .describe(
      'No effect here; the server logs a warning. A stream is answered in order anyway, and other calls have no order.',
    ),
  priority_levels: int64(0, 1_000)
    .default(0)
    .describe('Number of levels of the parameter `priority`; 1 is the most urgent. 0: no priorities.'),
  default_priority_level: int64(0).default(0).describe('Level of a request without `priority`.'),
  default_queue_policy: queuePolicy.prefault({}),
  priority_queue_policy: z
    .record(z.string().regex(/^[1-9][0-9]{0,3}$/), queuePolicy)
    .default({})
    .describe('Queue policies by level.'),
});

const sequenceState = z.strictObject({
  input_name: z.string(),
  output_name: z.string(),
  data_type: dataType,
  dims: dims.describe('Shape for one sequence, without the batch axis.'),
  initial_state: z
    .array(
      z.strictObject({
        name: z.string().default(''),
        data_type: dataType,
        dims,
        zero_data: z.boolean().optional(),
        data_file: z.string().optional().describe('File in `initial_state/` beside the versions, with the raw bytes.'),
      }),
    )
    .max(1)
    .default([])
    .describe('Initial state of a sequence; zeros by default.'),
  use_same_buffer_for_input_output: z.boolean().optional().describe(NO_EFFECT),
  use_growable_memory: z.boolean().optional().describe(NO_EFFECT),
});

const sequenceControl = z.strictObject({
  kind: z
    .enum(['CONTROL_SEQUENCE_START', 'CONTROL_SEQUENCE_READY', 'CONTROL_SEQUENCE_END', 'CONTROL_SEQUENCE_CORRID'])
    .default('CONTROL_SEQUENCE_START'),
  int32_false_true: z.array(z.int()).length(2).optional(),
  fp32_false_true: z.array(z.number()).length(2).optional(),
  bool_false_true: z.array(z.boolean()).length(2).optional(),
  data_type: dataType
    .optional()
    .describe(
      'Datatype of the correlation id: `TYPE_UINT64`, `TYPE_INT64`, `TYPE_UINT32`, `TYPE_INT32` or `TYPE_STRING`.',
    ),
});

const sequenceBatching = z.strictObject({
  max_sequence_idle_microseconds: int64(1)
    .default(1_000_000)
    .describe('A sequence without a request for this time is forgotten.'),
  control_input: z.array(z.strictObject({ name: z.string(), control: z.array(sequenceControl).min(1) })).default([]),
  state: z.array(sequenceState).default([]),
  direct: z
    .strictObject({
      max_queue_delay_microseconds: int64(0).default(0),
      minimum_slot_utilization: z.number().min(0).max(1).default(0),
    })
    .optional(),
  oldest: z
    .strictObject({
      max_candidate_sequences: positive.default(1_024),
      preferred_batch_size: z.array(positive).default([]),
      max_queue_delay_microseconds: int64(0).default(0),
      preserve_ordering: z.boolean().default(false),
    })
    .optional(),
  iterative_sequence: z.boolean().optional().describe(REFUSED),
});

const ensembleScheduling = z.strictObject({
  step: z
    .array(
      z.strictObject({
        model_name: z.string(),
        model_version: z
          .union([z.literal([-1, '-1']).transform(() => -1 as const), VERSION_NUMBER])
          .default(-1)
          .describe("-1, or omitted: the version that serves the model's own requests."),
        input_map: byName(z.string()).describe("Maps the step's inputs to tensors of the ensemble."),
        output_map: byName(z.string()).describe("Maps the step's outputs to tensors of the ensemble."),
        model_namespace: z.string().optional().describe(REFUSED),
      }),
    )
    .min(1),
  max_inflight_requests: natural
    .optional()
    .describe("Triton's limit of requests in flight per step; here it is always one per request."),
});

const tensor = {
  name: z.string().min(1),
  data_type: dataType.optional(),
  dims: dims
    .optional()
    .describe('Sizes of the axes, -1 for an open size; without the batch axis if `max_batch_size` is above 0.'),
  reshape: z
    .strictObject({ shape: dims.default([]) })
    .optional()
    .describe('Shape inside the model if it differs from `dims`, with the same element count.'),
  is_shape_tensor: z.boolean().optional().describe(REFUSED),
  is_non_linear_format_io: z.boolean().optional().describe(REFUSED),
};

const modelInput = z.strictObject({
  ...tensor,
  format: z.enum(['FORMAT_NONE', 'FORMAT_NHWC', 'FORMAT_NCHW']).optional().describe(NO_EFFECT),
  allow_ragged_batch: z.boolean().optional().describe(REFUSED),
  optional: z
    .boolean()
    .optional()
    .describe('For an input with an initializer: the model uses this default, and requests cannot override it.'),
});

const modelOutput = z.strictObject({
  ...tensor,
  label_filename: z
    .string()
    .transform((name) => (name === '' ? undefined : name))
    .optional()
    .describe(
      "File beside the configuration, or in a folder there: one label per line, in the order of the output's elements.",
    ),
});

const accelerators = z.array(z.strictObject({ name: z.string(), parameters: texts.optional() })).optional();
const pinnedMemory = z.strictObject({ enable: z.boolean().optional() }).optional().describe(NO_EFFECT);
const graphShapes = z.record(z.string(), z.strictObject({ dim: dims.optional() })).optional();

const optimization = z.strictObject({
  graph: z
    .strictObject({ level: z.int().min(-1).max(2).default(0) })
    .optional()
    .describe('Graph optimizations of ONNX Runtime: -1 basic, 0 all, 1 extended, 2 none.'),
  priority: z.enum(['PRIORITY_DEFAULT', 'PRIORITY_MAX', 'PRIORITY_MIN']).optional().describe(NO_EFFECT),
  cuda: z
    .strictObject({
      graphs: z.boolean().optional(),
      busy_wait_events: z.boolean().optional(),
      graph_spec: z
        .array(
          z.strictObject({
            batch_size: natural.optional(),
            input: graphShapes,
            graph_lower_bound: z.strictObject({ batch_size: natural.optional(), input: graphShapes }).optional(),
          }),
        )
        .optional(),
      output_copy_stream: z.boolean().optional(),
    })
    .optional()
    .describe(NO_EFFECT),
  execution_accelerators: z
    .strictObject({ gpu_execution_accelerator: accelerators, cpu_execution_accelerator: accelerators })
    .optional()
    .describe(
      'GPU accelerators `tensorrt` and `cuda` without parameters become `tensorgate.execution_providers`; others have no effect, and the server logs a warning.',
    ),
  input_pinned_memory: pinnedMemory,
  output_pinned_memory: pinnedMemory,
  gather_kernel_buffer_threshold: natural.optional().describe(NO_EFFECT),
  eager_batching: z.boolean().optional().describe(NO_EFFECT),
});

/** In Triton's `oneof` only the presence of a field counts, so `false` would mean the opposite of its effect. */
const chosen = z.literal(true, { error: 'expected true, or no such field' }).optional();

const warmUp = z.strictObject({
  name: z.string().default('').describe('Name in messages about problems.'),
  batch_size: natural
    .default(0)
    .transform((rows) => Math.max(1, rows))
    .describe('Number of equal rows, each as in `inputs`. 0, or omitted: 1.'),
  inputs: byName(
    z.strictObject({
      data_type: dataType,
      dims: z.array(int64(0)).default([]).describe('Shape of one row, without the batch axis.'),
      zero_data: chosen.describe('Fill with zeros, or empty texts.'),
      random_data: chosen.describe('Fill with random values, the same at every start.'),
      input_data_file: z
        .string()
        .refine(isInnerPath, INNER_PATH)
        .optional()
        .describe('File in `warmup/` beside the versions, with the raw bytes of one row.'),
    }),
  )
    .prefault({})
    .describe('Every input that clients send, by name.'),
  count: natural
    .default(0)
    .transform((count) => Math.max(1, count))
    .describe('Runs on every instance. 0, or omitted: 1.'),
});

const traffic = z
  .strictObject({
    split: z
      .record(VERSION_KEY, z.number().min(0))
      .optional()
      .describe('Shares of unversioned requests by version, relative to their sum.'),
    sticky_by: z.string().optional().describe('Metadata key; requests with the same value get the same version.'),
    shadow: z
      .strictObject({ version: VERSION_NUMBER, share: z.number().gt(0).max(1).default(1) })
      .optional()
      .describe('Version that gets copies of a share of the requests; its answers are compared and discarded.'),
  })
  .describe('Which versions answer unversioned requests. By default, the highest READY version.');

const ours = z.strictObject({
  runner: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "expected letters, digits, '.', '_' and '-', at most 64")
    .optional()
    .describe(
      'Model versions with the same runner share one process. Meant for small models: a crash affects all of them.',
    ),
  execution_providers: z
    .array(z.enum(EXECUTION_PROVIDERS))
    .min(1)
    .optional()
    .describe("In order of preference. Default: the server's `execution_providers`."),
  strict_execution_providers: z
    .boolean()
    .optional()
    .describe("Fail the load instead of using a later provider. Default: the server's setting."),
  max_queue_bytes: positive.default(256 * 1024 * 1024).describe('Maximum bytes of waiting tensors.'),
  max_run_ms: positive
    .max(MAX_TIMER_MS)
    .optional()
    .describe(
      "Maximum run time in milliseconds; a longer run is stopped. Default: the server's `maxDeadlineMs`. Lower it if no valid request takes that long.",
    ),
  objective_ms: positive
    .max(MAX_TIMER_MS)
    .optional()
    .describe(
      "Target latency in milliseconds of a call that sets no deadline. It only decides whether the call is queued or refused. Default: the server's `objectiveMs`.",
    ),
  row_independence: z
    .enum(['verify', 'assume'])
    .default('verify')
    .describe(
      "`verify` checks at load that a row's answer does not depend on the other rows of its batch; `assume` skips the check.",
    ),
  batch_axes: byName(z.union([natural, z.literal('none')]))
    .prefault({})
    .describe('Batch axis by tensor, if it is not axis 0; `none`: one value for all rows of a batch.'),
  padding: byName(
    z
      .union([z.number(), z.boolean()], { error: ({ input }) => `expected a number or a boolean, got ${quote(input)}` })
      .transform(Number),
  )
    .optional()
    .describe(
      'Padding value by input, so that requests of different lengths share a batch; `{}`: only requests of equal length do. Default: 0 for all inputs, if they have one open second axis and one of them is named like a mask.',
    ),
  probe_values: byName(z.number())
    .prefault({})
    .describe(
      'Value of all elements of an input in made-up requests, if the model does not accept every value (for instance a sampling rate).',
    ),
  labels: z
    .record(z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,63}$/), VERSION_NUMBER)
    .default({})
    .describe('Names of versions, such as `stable: 3`, that requests may use as `model_version`.'),
  traffic: traffic.prefault({}),
  pinned: z.boolean().default(false).describe('Never evict this model to make room for another.'),
  max_sequences: positive.default(10_000).describe('Maximum number of live sequences.'),
  max_sequence_bytes: positive
    .default(256 * 1024 * 1024)
    .describe('Maximum bytes of all states and ids; one sequence always fits.'),
  max_ensemble_requests: positive.default(1_024).describe('Maximum number of requests in flight in an ensemble.'),
  max_cache_bytes: positive
    .default(64 * 1024 * 1024)
    .describe('Maximum bytes of the response cache of one version; used with `response_cache.enable`.'),
});

export const MODEL_CONFIG = z.strictObject({
  name: z.string().optional().describe('Must equal the name of the directory, if given.'),
  platform: z
    .enum(['', 'onnxruntime_onnx', 'ensemble'], {
      error: ({ input }) => `expected onnxruntime_onnx or ensemble, the only supported platforms, got ${quote(input)}`,
    })
    .optional(),
  backend: z
    .enum(['', 'onnxruntime'], {
      error: ({ input }) =>
        `expected onnxruntime, the only backend here, got ${quote(input)}: export the model to ONNX, or omit backend if it already is one`,
    })
    .optional(),
  runtime: z.string().optional().describe(NO_EFFECT),
  max_batch_size: natural.optional().describe('Maximum rows per batch; 0: no batching, and `dims` are whole shapes.'),
  input: z.array(modelInput).default([]),
  output: z.array(modelOutput).default([]),
  batch_input: z.array(z.looseObject({})).optional().describe(REFUSED),
  batch_output: z.array(z.looseObject({})).optional().describe(REFUSED),
  version_policy: z
    .union(
      [
        z.strictObject({ all: z.strictObject({}) }),
        z.strictObject({ latest: z.strictObject({ num_versions: positive.default(1) }) }),
        z.strictObject({ specific: z.strictObject({ versions: z.array(VERSION_NUMBER).min(1) }) }),
      ],
      { error: 'expected all: {}, latest: { num_versions: N } or specific: { versions: [N, …] }' },
    )
    .default({ all: {} })
    .describe('The versions on disk that are served.'),
  instance_group: z.array(instanceGroup).default([]),
  dynamic_batching: dynamicBatching.prefault({}),
  sequence_batching: sequenceBatching
    .optional()
    .describe('Batching of stateful sequences, identified by their correlation id.'),
  ensemble_scheduling: ensembleScheduling.optional().describe('Graph of other models; such a model has no ONNX file.'),
  response_cache: z
    .strictObject({ enable: z.boolean().default(false) })
    .optional()
    .describe('Answer repeated requests without running the model.'),
  default_model_filename: z
    .string()
    .refine(isInnerPath, INNER_PATH)
    .default('model.onnx')
    .describe('The ONNX file in the directory of a version, or in a folder there.'),
  cc_model_filenames: texts.optional().describe(NO_EFFECT),
  metric_tags: texts.optional().describe(NO_EFFECT),
  parameters: z
    .record(z.string(), parameter)
    .default({})
    .describe("ONNX Runtime options by Triton's names: `intra_op_thread_count`, `execution_mode`, `session.*`, …"),
  optimization: optimization.optional(),
  model_warmup: z
    .array(warmUp)
    .default([])
    .describe('Requests that every instance runs before it serves, after the made-up ones.'),
  model_operations: z
    .strictObject({ op_library_filename: z.array(z.string()).optional() })
    .optional()
    .describe(REFUSED),
  model_transaction_policy: z
    .strictObject({ decoupled: z.boolean().optional() })
    .optional()
    .describe('`decoupled: true` is refused: an ONNX model gives one answer.'),
  model_metrics: z.looseObject({}).optional().describe(NO_EFFECT),
  tensorgate: ours.prefault({}).describe('Fields that Triton does not have.'),
});

function quote(input: unknown): string {
  return typeof input === 'string' ? `'${input.slice(0, 100)}'` : `a value of another type`;
}

export type ModelConfig = Readonly<z.output<typeof MODEL_CONFIG>>;

/** An invalid configuration; each problem is `file:line:column: message`, if it has a place. */
export class ModelConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: string | readonly string[]) {
    const all = typeof problems === 'string' ? [problems] : problems;
    super(all.join('; '));
    this.problems = all;
  }
}

/** Default of `max_queue_size`. */
export const DEFAULT_MAX_QUEUE_SIZE = 1_024;
/** Default of `max_batch_size` for a model that can be batched. */
export const DEFAULT_MAX_BATCH_SIZE = 64;
