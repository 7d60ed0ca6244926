/** Messages that describe a model version: metadata, configuration, statistics. Field names are the messages'. */

import type { TensorSpec } from '../../wire/tensor.ts';
import type { ModelMetadata } from '../accept/inference-service.ts';
import type {
  ModelConfigMessage,
  ModelStatisticsMessage,
  ModelTensorMessage,
  QueuePolicyMessage,
  StatisticDurationMessage,
} from '../accept/messages.ts';
import type { BatchSum, DurationSum } from '../models/model-statistics.ts';
import type { Servable } from '../models/servable.ts';
import { isDecoupled } from '../repository/config/code-model.ts';
import { dataTypeOf } from '../repository/config/data-types.ts';
import { DEFAULT_MAX_QUEUE_SIZE, type ModelConfig } from '../repository/config/model-config.ts';
import { describeBatching } from '../repository/signature/batching-description.ts';
import type { ModelSignature } from '../repository/signature/model-signature.ts';
import { type ModelTensor, shapeOfRow } from '../repository/signature/row-axis.ts';

/** @param versions the READY ones. */
export function metadataOf(model: Servable, versions: readonly string[]): ModelMetadata {
  const { signature } = model.ready;
  return {
    name: model.ref.name,
    versions,
    platform: model.platform,
    inputs: signature.inputs.map((spec) => ({ ...specOf(spec), ...(spec.default && { optional: true }) })),
    outputs: signature.outputs.map(specOf),
  };
}

/** Without what only the server knows of it. */
function specOf({ name, datatype, shape }: TensorSpec): TensorSpec {
  return { name, datatype, shape };
}

interface Described {
  /** It changes with each load, and for an ensemble with the models of its steps. */
  readonly signature: ModelSignature;
  readonly config: ModelConfigMessage;
}

/** The last message of each version: text endpoints ask for several in each call, and labels may be thousands. */
const described = new WeakMap<Servable, Described>();

/** A `ModelConfig` message: the configuration as it is used, completed from the ONNX file. It must not be changed. */
export function configOf(model: Servable): ModelConfigMessage {
  const { signature } = model.ready;
  const known = described.get(model);
  if (known?.signature === signature) return known.config;
  const config = describeConfig(model, signature);
  described.set(model, { signature, config });
  return config;
}

function describeConfig(model: Servable, signature: ModelSignature): ModelConfigMessage {
  const { config } = model;
  if (config.ensemble_scheduling !== undefined) return ensembleOf(model, config.ensemble_scheduling);
  const { batching } = signature;
  const maxBatchSize = batching.kind === 'on' ? batching.maxRows : 0;
  return {
    name: model.ref.name,
    platform: model.platform,
    ...fileOf(model),
    version_policy: config.version_policy,
    max_batch_size: maxBatchSize,
    input: signature.inputs.map((spec) => tensorOf(spec, signature)),
    output: signature.outputs.map((spec) => ({
      ...tensorOf(spec, signature),
      label_filename: spec.labelFilename ?? '',
    })),
    instance_group: instanceGroups(model),
    ...(batching.kind === 'on' && config.sequence_batching === undefined
      ? { dynamic_batching: dynamicBatching(config, batching.maxRows) }
      : {}),
    ...(config.sequence_batching === undefined
      ? {}
      : { sequence_batching: sequenceBatching(config.sequence_batching, config.tensorgate.max_sequences) }),
    ...(config.response_cache === undefined ? {} : { response_cache: config.response_cache }),
    ...(isDecoupled(config) ? { model_transaction_policy: { decoupled: true } } : {}),
    parameters: {
      ...parametersOf(model),
      batching: { string_value: describeBatching(signature, config) },
      execution_provider: { string_value: model.placements[0]?.provider ?? '' },
    },
  };
}

/** A step has neither a backend of Triton nor a file of its own choice. */
function fileOf({ platform, config }: Servable): Pick<ModelConfigMessage, 'backend' | 'default_model_filename'> {
  if (platform !== 'onnxruntime_onnx') return { backend: '' };
  return { backend: 'onnxruntime', default_model_filename: config.default_model_filename };
}

function ensembleOf(model: Servable, scheduling: NonNullable<ModelConfig['ensemble_scheduling']>): ModelConfigMessage {
  const { ref, platform, config } = model;
  const { signature } = model.ready;
  return {
    name: ref.name,
    platform,
    backend: '',
    version_policy: config.version_policy,
    max_batch_size: config.max_batch_size ?? 0,
    input: signature.inputs.map((spec) => tensorOf(spec, signature)),
    output: signature.outputs.map((spec) => ({
      ...tensorOf(spec, signature),
      label_filename: spec.labelFilename ?? '',
    })),
    ensemble_scheduling: {
      ...scheduling,
      step: scheduling.step.map((step) => ({
        ...step,
        input_map: Object.fromEntries(step.input_map),
        output_map: Object.fromEntries(step.output_map),
      })),
    },
    parameters: parametersOf(model),
  };
}

/** More classes than a client wants to have as types. */
const MAX_LABELS = 2_000;

/** The parameters of the configuration, and those by which clients learn facts that the message has no field for. */
function parametersOf({ config, ready: { signature } }: Servable): ModelConfigMessage['parameters'] & object {
  const { batching, outputs } = signature;
  const facts = new Map(Object.entries(config.parameters));
  // `max_batch_size` is less where larger requests are split.
  if (batching.kind === 'on' && batching.requestRows !== undefined) {
    facts.set('max_request_rows', String(batching.requestRows));
  }
  for (const { name, labels } of outputs) {
    if (labels.length > 0 && labels.length <= MAX_LABELS) facts.set(`labels.${name}`, JSON.stringify(labels));
  }
  const versions = Object.keys(config.tensorgate.labels);
  if (versions.length > 0) facts.set('version_labels', JSON.stringify(versions));
  return Object.fromEntries([...facts].map(([key, value]) => [key, { string_value: value }]));
}

function tensorOf(
  { name, datatype, shape, rowAxis, default: value }: ModelTensor,
  { batching }: ModelSignature,
): ModelTensorMessage {
  const dims = batching.kind === 'on' ? shapeOfRow(shape, rowAxis) : shape;
  return { name, data_type: dataTypeOf(datatype), dims, ...(value && { optional: true }) };
}

/** With the strategy that is used where the configuration names none. */
function sequenceBatching(
  config: NonNullable<ModelConfig['sequence_batching']>,
  maxSequences: number,
): NonNullable<ModelConfigMessage['sequence_batching']> {
  if (config.oldest !== undefined || config.direct !== undefined) return config;
  return { ...config, oldest: { max_candidate_sequences: maxSequences } };
}

function dynamicBatching(
  { dynamic_batching: dynamic }: ModelConfig,
  maxRows: number,
): ModelConfigMessage['dynamic_batching'] & object {
  return {
    preferred_batch_size: dynamic.preferred_batch_size.length > 0 ? dynamic.preferred_batch_size : [maxRows],
    max_queue_delay_microseconds: dynamic.max_queue_delay_microseconds,
    priority_levels: dynamic.priority_levels,
    default_priority_level: dynamic.default_priority_level,
    default_queue_policy: queuePolicy(dynamic.default_queue_policy),
    priority_queue_policy: Object.fromEntries(
      Object.entries(dynamic.priority_queue_policy).map(([level, policy]) => [level, queuePolicy(policy)]),
    ),
  };
}

function queuePolicy(policy: ModelConfig['dynamic_batching']['default_queue_policy']): QueuePolicyMessage {
  return { ...policy, max_queue_size: policy.max_queue_size ?? DEFAULT_MAX_QUEUE_SIZE };
}

/** One group for each device, as the instances really are. */
function instanceGroups(model: Servable): ModelConfigMessage['instance_group'] & object {
  const kind = model.placements[0]?.provider === 'cpu' ? 'KIND_CPU' : 'KIND_GPU';
  const counts = new Map<number, number>();
  for (const { deviceId } of model.placements) counts.set(deviceId, (counts.get(deviceId) ?? 0) + 1);
  return [...counts].map(([device, count], index) => ({
    name: `${model.ref.name}_${index}`,
    kind,
    count,
    gpus: kind === 'KIND_GPU' ? [device] : [],
  }));
}

/** A `ModelStatistics` message. Durations are in whole nanoseconds, as decimal texts: they pass 2^53 within months. */
export function statisticsOf({ ref, statistics }: Servable): ModelStatisticsMessage {
  const { success, fail, queue, input, compute, output } = statistics;
  return {
    name: ref.name,
    version: ref.version,
    last_inference: String(statistics.lastInferenceMs),
    inference_count: String(statistics.inferenceCount),
    execution_count: String(statistics.executionCount),
    inference_stats: {
      success: durationOf(success),
      fail: durationOf(fail),
      queue: durationOf(queue),
      compute_input: durationOf(input),
      compute_infer: durationOf(compute),
      compute_output: durationOf(output),
      cache_hit: durationOf(statistics.cacheHit),
      cache_miss: durationOf(statistics.cacheMiss),
      cancel: durationOf(statistics.failures.CANCELED),
      reject: durationOf(statistics.failures.REJECTED),
    },
    batch_stats: [...statistics.batches.values()].sort((a, b) => a.rows - b.rows).map(batchOf),
  };
}

function batchOf({ rows, input, compute, output }: BatchSum): ModelStatisticsMessage['batch_stats'][number] {
  return {
    batch_size: String(rows),
    compute_input: durationOf(input),
    compute_infer: durationOf(compute),
    compute_output: durationOf(output),
  };
}

function durationOf({ count, ms }: DurationSum): StatisticDurationMessage {
  return { count: String(count), ns: String(Math.round(ms * 1e6)) };
}
