/** Triton's `config.pbtxt`: the message `ModelConfig` of `proto/model_config.proto`, which a test compares with this table. */

import type { ReadDocument } from './located.ts';
import {
  type EnumType,
  type Field,
  type FieldType,
  type MessageType,
  parseTextFormat,
  type ScalarType,
} from './text-format.ts';

/** Triton's text form of a configuration. What it says is not judged here: the schema of `model-config.ts` does that. */
export function readPbtxt(text: string): ReadDocument {
  return parseTextFormat(text, MODEL_CONFIG_MESSAGE);
}

/** A singular field is written as its type. */
function message(fields: Readonly<Record<string, FieldType | Field>>, ...oneofs: readonly string[][]): MessageType {
  const described = Object.entries(fields).map(([name, field]): [string, Field] => [
    name,
    typeof field === 'object' && 'label' in field ? field : { type: field, label: 'singular' },
  ]);
  return { fields: Object.fromEntries(described), oneofs };
}

function repeated(type: FieldType): Field {
  return { type, label: 'repeated' };
}

function map(type: FieldType, keyType: ScalarType = 'string'): Field {
  return { type, label: 'map', keyType };
}

function oneOf(...values: readonly string[]): EnumType {
  return { values };
}

const DATA_TYPE = oneOf(
  'TYPE_INVALID',
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
  'TYPE_BF16',
);

const RESHAPE = message({ shape: repeated('int64') });

const MODEL_INPUT = message({
  name: 'string',
  data_type: DATA_TYPE,
  format: oneOf('FORMAT_NONE', 'FORMAT_NHWC', 'FORMAT_NCHW'),
  dims: repeated('int64'),
  reshape: RESHAPE,
  is_shape_tensor: 'bool',
  allow_ragged_batch: 'bool',
  optional: 'bool',
  is_non_linear_format_io: 'bool',
});

const MODEL_OUTPUT = message({
  name: 'string',
  data_type: DATA_TYPE,
  dims: repeated('int64'),
  label_filename: 'string',
  reshape: RESHAPE,
  is_shape_tensor: 'bool',
  is_non_linear_format_io: 'bool',
});

const BATCH_INPUT = message({
  kind: oneOf(
    'BATCH_ELEMENT_COUNT',
    'BATCH_ACCUMULATED_ELEMENT_COUNT',
    'BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO',
    'BATCH_MAX_ELEMENT_COUNT_AS_SHAPE',
    'BATCH_ITEM_SHAPE',
    'BATCH_ITEM_SHAPE_FLATTEN',
  ),
  target_name: repeated('string'),
  data_type: DATA_TYPE,
  source_input: repeated('string'),
});

const BATCH_OUTPUT = message({
  target_name: repeated('string'),
  kind: oneOf('BATCH_SCATTER_WITH_INPUT_SHAPE'),
  source_input: repeated('string'),
});

const VERSION_POLICY = message(
  {
    latest: message({ num_versions: 'uint32' }),
    all: message({}),
    specific: message({ versions: repeated('int64') }),
  },
  ['latest', 'all', 'specific'],
);

const GRAPH_INPUT = map(message({ dim: repeated('int64') }));
const ACCELERATOR = message({ name: 'string', parameters: map('string') });
const PINNED_MEMORY = message({ enable: 'bool' });

const OPTIMIZATION = message({
  graph: message({ level: 'int32' }),
  priority: oneOf('PRIORITY_DEFAULT', 'PRIORITY_MAX', 'PRIORITY_MIN'),
  cuda: message({
    graphs: 'bool',
    busy_wait_events: 'bool',
    graph_spec: repeated(
      message({
        batch_size: 'int32',
        input: GRAPH_INPUT,
        graph_lower_bound: message({ batch_size: 'int32', input: GRAPH_INPUT }),
      }),
    ),
    output_copy_stream: 'bool',
  }),
  execution_accelerators: message({
    gpu_execution_accelerator: repeated(ACCELERATOR),
    cpu_execution_accelerator: repeated(ACCELERATOR),
  }),
  input_pinned_memory: PINNED_MEMORY,
  output_pinned_memory: PINNED_MEMORY,
  gather_kernel_buffer_threshold: 'uint32',
  eager_batching: 'bool',
});

const QUEUE_POLICY = message({
  timeout_action: oneOf('REJECT', 'DELAY'),
  default_timeout_microseconds: 'uint64',
  allow_timeout_override: 'bool',
  max_queue_size: 'uint32',
});

const DYNAMIC_BATCHING = message({
  preferred_batch_size: repeated('int32'),
  max_queue_delay_microseconds: 'uint64',
  preserve_ordering: 'bool',
  priority_levels: 'uint64',
  default_priority_level: 'uint64',
  default_queue_policy: QUEUE_POLICY,
  priority_queue_policy: map(QUEUE_POLICY, 'uint64'),
});

const SEQUENCE_BATCHING = message(
  {
    max_sequence_idle_microseconds: 'uint64',
    control_input: repeated(
      message({
        name: 'string',
        control: repeated(
          message({
            kind: oneOf(
              'CONTROL_SEQUENCE_START',
              'CONTROL_SEQUENCE_READY',
              'CONTROL_SEQUENCE_END',
              'CONTROL_SEQUENCE_CORRID',
            ),
            int32_false_true: repeated('int32'),
            fp32_false_true: repeated('float'),
            data_type: DATA_TYPE,
            bool_false_true: repeated('bool'),
          }),
        ),
      }),
    ),
    direct: message({ max_queue_delay_microseconds: 'uint64', minimum_slot_utilization: 'float' }),
    oldest: message({
      max_candidate_sequences: 'int32',
      preferred_batch_size: repeated('int32'),
      max_queue_delay_microseconds: 'uint64',
      preserve_ordering: 'bool',
    }),
    state: repeated(
      message({
        input_name: 'string',
        output_name: 'string',
        data_type: DATA_TYPE,
        dims: repeated('int64'),
        initial_state: repeated(
          message(
            {
              data_type: DATA_TYPE,
              dims: repeated('int64'),
              zero_data: 'bool',
              data_file: 'string',
              name: 'string',
            },
            ['zero_data', 'data_file'],
          ),
        ),
        use_same_buffer_for_input_output: 'bool',
        use_growable_memory: 'bool',
      }),
    ),
    iterative_sequence: 'bool',
  },
  ['direct', 'oldest'],
);

const ENSEMBLE_SCHEDULING = message({
  step: repeated(
    message({
      model_name: 'string',
      model_version: 'int64',
      input_map: map('string'),
      output_map: map('string'),
      model_namespace: 'string',
    }),
  ),
  max_inflight_requests: 'uint32',
});

const INSTANCE_GROUP = message({
  name: 'string',
  count: 'int32',
  gpus: repeated('int32'),
  kind: oneOf('KIND_AUTO', 'KIND_GPU', 'KIND_CPU', 'KIND_MODEL'),
  profile: repeated('string'),
  rate_limiter: message({
    resources: repeated(message({ name: 'string', global: 'bool', count: 'uint32' })),
    priority: 'uint32',
  }),
  passive: 'bool',
  secondary_devices: repeated(message({ kind: oneOf('KIND_NVDLA'), device_id: 'int64' })),
  host_policy: 'string',
});

const WARM_UP = message({
  name: 'string',
  batch_size: 'uint32',
  inputs: map(
    message(
      {
        data_type: DATA_TYPE,
        dims: repeated('int64'),
        zero_data: 'bool',
        random_data: 'bool',
        input_data_file: 'string',
      },
      ['zero_data', 'random_data', 'input_data_file'],
    ),
  ),
  count: 'uint32',
});

const MODEL_METRICS = message({
  metric_control: repeated(
    message({
      metric_identifier: message({ family: 'string' }),
      histogram_options: message({ buckets: repeated('double') }),
    }),
  ),
});

export const MODEL_CONFIG_MESSAGE = message(
  {
    name: 'string',
    platform: 'string',
    backend: 'string',
    runtime: 'string',
    version_policy: VERSION_POLICY,
    max_batch_size: 'int32',
    input: repeated(MODEL_INPUT),
    output: repeated(MODEL_OUTPUT),
    batch_input: repeated(BATCH_INPUT),
    batch_output: repeated(BATCH_OUTPUT),
    optimization: OPTIMIZATION,
    dynamic_batching: DYNAMIC_BATCHING,
    sequence_batching: SEQUENCE_BATCHING,
    ensemble_scheduling: ENSEMBLE_SCHEDULING,
    instance_group: repeated(INSTANCE_GROUP),
    default_model_filename: 'string',
    cc_model_filenames: map('string'),
    metric_tags: map('string'),
    parameters: map(message({ string_value: 'string' })),
    model_warmup: repeated(WARM_UP),
    model_operations: message({ op_library_filename: repeated('string') }),
    model_transaction_policy: message({ decoupled: 'bool' }),
    response_cache: message({ enable: 'bool' }),
    model_metrics: MODEL_METRICS,
  },
  ['dynamic_batching', 'sequence_batching', 'ensemble_scheduling'],
);
