/**
 * A model's configuration: Triton's fields (`model_config.proto`), and a section of our own. All defaults of a model are here. Every
 * field is optional: omitted ones are read from the ONNX file.
 */

import { z } from 'zod';
import { VERSION_NUMBER } from '../version-number.ts';
import {
  byName,
  countOr,
  dataType,
  dims,
  int64,
  NO_EFFECT,
  natural,
  optionalDataType,
  parameter,
  quote,
  REFUSED,
  texts,
} from './config-values.ts';
import { INNER_PATH, isInnerPath } from './inner-path.ts';
import { tensorgateSection } from './own-section.ts';
import { dynamicBatching, ensembleScheduling, sequenceBatching } from './scheduling-schema.ts';
import { STEP_PLATFORMS } from './step-schema.ts';

const DEFAULT_MODEL_FILENAME = 'model.onnx';

const instanceGroup = z.strictObject({
  name: z.string().optional().describe('Ignored: Triton names every group, and clients send the name back.'),
  count: natural
    .optional()
    .transform((count) => count || undefined)
    .describe('Instances on the CPU, or on each of `gpus`. 0, or omitted: the default.'),
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

const tensor = {
  name: z.string().min(1),
  data_type: optionalDataType,
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
    .describe('For an input with an initializer: requests may leave it out, and the model then uses this default.'),
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

export const MODEL_CONFIG = z.strictObject({
  name: z.string().optional().describe('Must equal the name of the directory, if given.'),
  platform: z
    .enum(['', 'onnxruntime_onnx', 'ensemble', ...STEP_PLATFORMS], {
      error: ({ input }) =>
        `expected onnxruntime_onnx, ensemble, ${STEP_PLATFORMS.join(', ')}, the only supported platforms, got ${quote(input)}`,
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
        z.strictObject({ latest: z.strictObject({ num_versions: countOr(1) }) }),
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
    .default(DEFAULT_MODEL_FILENAME)
    .transform((file) => file || DEFAULT_MODEL_FILENAME)
    .refine(isInnerPath, INNER_PATH)
    .describe('The ONNX file in the directory of a version, or in a folder there.'),
  cc_model_filenames: texts.optional().describe(NO_EFFECT),
  metric_tags: texts.optional().describe(NO_EFFECT),
  parameters: z
    .record(z.string(), parameter)
    .default({})
    .describe(
      "ONNX Runtime options by Triton's names: `intra_op_thread_count`, `execution_mode`, `session.*`, … With the platform `tensorgate_javascript`: texts for the code.",
    ),
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
    .describe(
      '`decoupled: true` lets a model of the platform `tensorgate_javascript` give any number of answers to a request. Refused for other platforms.',
    ),
  model_repository_agents: z
    .strictObject({
      agents: z.array(z.strictObject({ name: z.string().optional(), parameters: texts.optional() })).optional(),
    })
    .optional()
    .describe(REFUSED),
  model_metrics: z.looseObject({}).optional().describe(NO_EFFECT),
  tensorgate: tensorgateSection.prefault({}).describe('Fields that Triton does not have.'),
});

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

export const DEFAULT_MAX_QUEUE_SIZE = 1_024;
/** Default of `max_batch_size` for a model that can be batched. */
export const DEFAULT_MAX_BATCH_SIZE = 64;
