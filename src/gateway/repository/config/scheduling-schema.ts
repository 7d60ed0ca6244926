/** How requests of a model are scheduled: Triton's three ways. */

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
  positive,
  REFUSED,
} from './config-values.ts';

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

export const dynamicBatching = z.strictObject({
  preferred_batch_size: z
    .array(positive)
    .default([])
    .describe('Batch sizes that are sent as soon as enough rows wait.'),
  max_queue_delay_microseconds: int64(0)
    .default(0)
    .describe(
      'Maximum time to hold the oldest request for a larger batch; 0: an idle instance waits only for callers who come back at once.',
    ),
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
  data_type: optionalDataType.describe(
    'Datatype of the correlation id: `TYPE_UINT64`, `TYPE_INT64`, `TYPE_UINT32`, `TYPE_INT32` or `TYPE_STRING`.',
  ),
});

export const sequenceBatching = z.strictObject({
  max_sequence_idle_microseconds: int64(0)
    .default(1_000_000)
    .transform((time) => time || 1_000_000)
    .describe('A sequence without a request for this time is forgotten. 0, or omitted: one second.'),
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
      max_candidate_sequences: countOr(1_024),
      preferred_batch_size: z.array(positive).default([]),
      max_queue_delay_microseconds: int64(0).default(0),
      preserve_ordering: z.boolean().default(false).describe(NO_EFFECT),
    })
    .optional(),
  iterative_sequence: z.boolean().optional().describe(REFUSED),
});

export const ensembleScheduling = z.strictObject({
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
  max_inflight_requests: natural.optional().describe(NO_EFFECT),
});
