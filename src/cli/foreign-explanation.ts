/** An explanation from the standard API of a server: for a server that is no tensorgate, or does not let us ask more. */

import {
  type InferenceClient,
  InferenceError,
  type ModelConfig,
  type ModelExplanation,
  type ModelStatistics,
  type TensorMetadata,
} from '../client/inference-client.ts';
import type { ExplainedBatching, ExplainedCost, ExplainedTensor } from '../wire/model-explanation.ts';

const UNKNOWN = [
  'the proof that rows are independent, and that padding changes no answer',
  'execution providers that were tried and refused',
  'the limits of a request',
  'which file or flag decided a setting',
];

/** @throws InferenceError where the server has no such model */
export async function explainByStandardApi(
  client: InferenceClient,
  model: string,
  version: string | undefined,
): Promise<ModelExplanation> {
  const metadata = await client.modelMetadata(model, { version });
  const [config, statistics, index] = await Promise.all([
    optional(client.modelConfig(model, { version })),
    optional(client.modelStatistics(model, { version })),
    optional(client.repositoryIndex()),
  ]);
  const versions = (index ?? []).filter((entry) => entry.name === model && entry.version !== '');
  const served = statistics?.map((each) => each.version) ?? metadata.versions;
  const shown = version ?? served.at(-1) ?? '';
  const entry = versions.find((each) => each.version === shown);
  return {
    model,
    version: shown,
    state: entry?.state || 'READY',
    reason: entry?.reason ?? '',
    platform: metadata.platform,
    file: null,
    notes: [],
    inputs: metadata.inputs.map((tensor) => tensorOf(tensor, config)),
    outputs: metadata.outputs.map((tensor) => tensorOf(tensor, config)),
    fixed_inputs: [],
    batching: config === undefined ? null : batchingOf(config),
    steps: [],
    execution: config === undefined ? null : executionOf(config),
    costs: costsOf(statistics?.find((each) => each.version === shown)),
    limits: null,
    traffic: {
      default_version: null,
      versions: served.map((each) => ({ version: each, state: 'READY' })),
      choice: 'the server chooses, mostly the highest version',
      labels: {},
    },
    objective: null,
    settings: [],
    unknown: [...(config === undefined ? ['how the model is batched, and its instances'] : []), ...UNKNOWN],
  };
}

/** `undefined` where the server does not offer the call, or not to us. */
async function optional<Result>(call: Promise<Result>): Promise<Result | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof InferenceError) return undefined;
    throw error;
  }
}

function tensorOf({ name, datatype, shape }: TensorMetadata, config: ModelConfig | undefined): ExplainedTensor {
  const isBatched = config !== undefined && config.maxBatchSize > 0;
  return {
    name,
    datatype,
    shape,
    axes: null,
    batch_axis: isBatched ? 0 : null,
    labels: null,
  };
}

function batchingOf({ maxBatchSize, dynamicBatching }: ModelConfig): ExplainedBatching {
  const isDynamic = dynamicBatching !== undefined && dynamicBatching !== null;
  const reason = maxBatchSize === 0 ? 'max_batch_size is 0' : 'no dynamic_batching in its configuration';
  return {
    enabled: maxBatchSize > 0 && isDynamic,
    max_rows: Math.max(1, maxBatchSize),
    reason: maxBatchSize > 0 && isDynamic ? null : reason,
    max_queue_delay_us: dynamicBatching?.maxQueueDelayMicroseconds ?? 0,
    preferred_rows: dynamicBatching?.preferredBatchSize ?? [],
    row_check: null,
    axis_doubt: null,
    padding: null,
    golden_rows: 0,
    gain: null,
  };
}

function executionOf({ instanceGroup }: ModelConfig): ModelExplanation['execution'] {
  const instances = instanceGroup.flatMap(({ kind, count }) =>
    Array.from({ length: count }, () => kind.replace(/^KIND_/, '').toLowerCase()),
  );
  const [provider] = instances;
  if (provider === undefined) return null;
  return { provider, instances, preferred: [], refused: [], not_preferred: [] };
}

/** Means over all batches of a size since the model was loaded. */
function costsOf(statistics: ModelStatistics | undefined): ExplainedCost[] {
  return (statistics?.batchStats ?? []).flatMap(({ batchSize, computeInput, computeInfer, computeOutput }) => {
    if (computeInfer === null || computeInfer.count === 0) return [];
    const ns = ((computeInput?.ns ?? 0) + computeInfer.ns + (computeOutput?.ns ?? 0)) / computeInfer.count;
    const ms = Number((ns / 1e6).toPrecision(3));
    return [{ row_elements: null, length: null, rows: batchSize, ms, fastest_ms: null }];
  });
}
