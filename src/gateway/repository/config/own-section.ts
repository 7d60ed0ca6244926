/** The section `tensorgate`: fields that Triton does not have. */

import { z } from 'zod';
import { MAX_TIMER_MS } from '../../../timer-limit.ts';
import { EXECUTION_PROVIDERS } from '../../../worker/protocol.ts';
import { VERSION_KEY, VERSION_NUMBER } from '../version-number.ts';
import { byName, natural, positive, quote } from './config-values.ts';
import { STEP_SECTIONS } from './step-schema.ts';

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

export const tensorgateSection = z.strictObject({
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
  split: z
    .boolean()
    .default(true)
    .describe(
      'Split a request with more rows than `max_batch_size` into several batches, up to 1024, and join their answers; `false`: refuse it, as Triton does.',
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
  probe_shape: byName(z.array(positive))
    .prefault({})
    .describe(
      'Shape of an input in made-up requests, if the model does not accept the sizes that are tried for its open axes; the batch axis is 1, or omitted.',
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
  ...STEP_SECTIONS,
});
