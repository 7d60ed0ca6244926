/** Rules for steps: which fields of a model mean nothing for them, and which section belongs to which platform. */

import { JAVASCRIPT } from './code-model.ts';
import { has, isFilled, isText, type Sink } from './config-remark.ts';
import type { ModelConfig } from './model-config.ts';
import { isStepPlatform, STEP_PLATFORMS, stepSectionOf } from './step-schema.ts';

/** Fields of an ONNX model or an ensemble that a step cannot have. */
const REFUSED_FIELDS = ['sequence_batching', 'ensemble_scheduling', 'default_model_filename'] as const;

/** Values of one channel have one mean, and bytes have none. */
function checkImage(content: unknown, image: ModelConfig['tensorgate']['image'], refuse: Sink['refuse']): void {
  if (image === undefined) return;
  const channels = image.color === 'GRAY' ? 1 : 3;
  for (const field of ['mean', 'std'] as const) {
    const { length } = image[field];
    if (length === 1 || length === channels) continue;
    const text = `${field} has ${length} numbers, expected 1 or ${channels} with color ${image.color}`;
    refuse(['tensorgate', 'image', field], text);
  }
  if (image.datatype !== 'UINT8') return;
  for (const field of ['scale', 'mean', 'std'] as const) {
    if (!has(content, 'tensorgate') || !has(content.tensorgate, 'image') || !has(content.tensorgate.image, field))
      continue;
    refuse(['tensorgate', 'image', field], `${field} has no meaning with the datatype UINT8: remove it`);
  }
}

/** From ids to a text, nothing is cut, paired or measured. */
function checkDecoder(
  content: unknown,
  tokenizer: ModelConfig['tensorgate']['tokenizer'],
  refuse: Sink['refuse'],
): void {
  if (tokenizer?.decode !== true) return;
  for (const field of ['max_length', 'truncation', 'pair', 'special_tokens_in_text', 'max_text_bytes'] as const) {
    if (
      !has(content, 'tensorgate') ||
      !has(content.tensorgate, 'tokenizer') ||
      !has(content.tensorgate.tokenizer, field)
    )
      continue;
    refuse(['tensorgate', 'tokenizer', field], `${field} has no meaning with decode: remove it`);
  }
}

export function checkSteps(config: ModelConfig, content: unknown, { refuse, warn }: Sink): void {
  const { platform, tensorgate } = config;
  for (const other of STEP_PLATFORMS) {
    const section = stepSectionOf(other);
    if (other === platform || tensorgate[section] === undefined) continue;
    refuse(
      ['tensorgate', section],
      `tensorgate.${section} is of the platform ${other}, got ${platform || 'no platform'}`,
    );
  }
  if (!isStepPlatform(platform)) return;
  for (const field of REFUSED_FIELDS) {
    if (!has(content, field) || content[field] === '') continue;
    refuse([field], `${field} has no meaning with the platform ${platform}: remove it`);
  }
  if (isText(config.backend)) {
    refuse(['backend'], `backend ${config.backend} does not run the platform ${platform}: remove backend`);
  }
  const gpu = config.instance_group.findIndex(({ kind, gpus }) => kind === 'KIND_GPU' || gpus.length > 0);
  if (gpu >= 0) refuse(['instance_group', gpu], `the platform ${platform} runs on the CPU: expected KIND_CPU`);
  if (platform === JAVASCRIPT) checkCode(config, refuse);
  for (const field of ['parameters', 'optimization'] as const) {
    if (field === 'parameters' && platform === JAVASCRIPT) continue;
    if (isFilled(config[field]))
      warn([field], `${field} has no effect: the platform ${platform} does not use ONNX Runtime`);
  }
  for (const field of ['execution_providers', 'strict_execution_providers'] as const) {
    if (tensorgate[field] === undefined) continue;
    refuse(['tensorgate', field], `tensorgate.${field} has no meaning with the platform ${platform}: remove it`);
  }
  const { labels = [], top_k: top } = tensorgate.classes ?? {};
  if (labels.length > 0 && top !== undefined && top > labels.length) {
    refuse(['tensorgate', 'classes', 'top_k'], `top_k is ${top}, expected at most the ${labels.length} labels`);
  }
  checkImage(content, tensorgate.image, refuse);
  checkDecoder(content, tensorgate.tokenizer, refuse);
  const { dimensions, width } = tensorgate.pooling ?? {};
  if (dimensions !== undefined && width !== undefined && dimensions > width) {
    refuse(
      ['tensorgate', 'pooling', 'dimensions'],
      `dimensions is ${dimensions}, expected at most width, which is ${width}`,
    );
  }
}

/** The code declares nothing itself. */
function checkCode(config: ModelConfig, refuse: Sink['refuse']): void {
  for (const kind of ['input', 'output'] as const) {
    if (config[kind].length === 0) {
      refuse([kind], `the platform ${JAVASCRIPT} needs ${kind}: declare name, data_type and dims of each`);
    }
    for (const [index, { name, data_type, dims }] of config[kind].entries()) {
      const what = `${kind} '${name}' of the platform ${JAVASCRIPT}`;
      if (data_type === undefined) refuse([kind, index, 'data_type'], `${what} needs data_type, such as TYPE_FP32`);
      if (data_type === 'TYPE_BF16') {
        refuse([kind, index, 'data_type'], `${what}: JavaScript has no array of BF16: use TYPE_FP32`);
      }
      if (dims === undefined) refuse([kind, index, 'dims'], `${what} needs dims, without the batch axis`);
    }
  }
  const isDecoupled = config.model_transaction_policy?.decoupled === true;
  if (isDecoupled && (config.max_batch_size ?? 0) > 0) {
    refuse(['max_batch_size'], 'a decoupled model answers one request at a time: set max_batch_size: 0');
  }
  if (isDecoupled && config.tensorgate.traffic.shadow !== undefined) {
    refuse(['tensorgate', 'traffic', 'shadow'], 'answers of a decoupled model are not compared: remove shadow');
  }
  if (isDecoupled && config.response_cache?.enable === true) {
    refuse(['response_cache'], 'a cache keeps one answer, and a decoupled model may give more: remove response_cache');
  }
}
