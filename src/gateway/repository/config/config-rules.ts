/**
 * Rules for fields that are valid only together with others, and for Triton's fields without effect here. One rule decides: a
 * field that would change answers, or asks for something unavailable, is refused; a field that only affects speed or naming is
 * accepted with a warning. Nothing is silently ignored.
 */

import { suggestion } from '../../../suggestion.ts';
import { elementCount } from '../../../wire/tensor.ts';
import { JAVASCRIPT } from './code-model.ts';
import { isFilled, isText, type Remark, type Remarks, type Sink } from './config-remark.ts';
import type { ModelConfig } from './model-config.ts';
import { checkBatching, checkScheduling } from './scheduling-rules.ts';
import { clientParameterProblem, isKnownParameter, parameterProblem, SESSION_PARAMETERS } from './session-options.ts';
import { checkSteps } from './step-rules.ts';
import { nameOfWarmUp } from './warm-up-name.ts';

export interface ConfigSource {
  /** Before defaults: only the fields that were given. */
  readonly content: unknown;
  /** Written for Triton, where parameters that a backend does not know mean nothing. */
  readonly isTritons: boolean;
  /** Sent with a load: the operator, who may set every option of ONNX Runtime, has not seen it. */
  readonly isClients: boolean;
}

/** @param config of the schema, which knows each field by itself. */
export function checkRules(config: ModelConfig, { content, ...source }: ConfigSource): Remarks {
  const problems: Remark[] = [];
  const warnings: Remark[] = [];
  const remarks = {
    refuse: (path: Remark['path'], text: string) => void problems.push({ path, text }),
    warn: (path: Remark['path'], text: string) => void warnings.push({ path, text }),
  };
  checkTensors(config, remarks);
  checkBatching(config, content, remarks);
  checkInstances(config, remarks);
  checkScheduling(config, content, remarks);
  checkOptimization(config, remarks);
  checkSteps(config, content, remarks);
  checkVersions(config, remarks);
  checkParameters(config, source, remarks);
  checkWarmUps(config, remarks);
  checkRest(config, remarks);
  return { problems, warnings };
}

function checkTensors(config: ModelConfig, { refuse, warn }: Sink): void {
  for (const kind of ['input', 'output'] as const) {
    const seen = new Set<string>();
    for (const [index, tensor] of config[kind].entries()) {
      const at = (field: string): Remark['path'] => [kind, index, field];
      const what = `${kind} '${tensor.name}'`;
      if (seen.has(tensor.name)) refuse(at('name'), `${what} is there twice: keep one`);
      seen.add(tensor.name);
      if (tensor.is_shape_tensor === true) {
        refuse(at('is_shape_tensor'), `${what}: shape tensors are TensorRT's; remove is_shape_tensor`);
      }
      if (tensor.is_non_linear_format_io === true) {
        refuse(
          at('is_non_linear_format_io'),
          `${what}: only linear formats are served; remove is_non_linear_format_io`,
        );
      }
      checkReshape(what, at('reshape'), tensor, refuse);
    }
  }
  for (const [index, { name, format, allow_ragged_batch }] of config.input.entries()) {
    const what = `input '${name}'`;
    if (allow_ragged_batch === true) {
      const text = `${what}: requests of different shapes are not joined into one tensor; remove allow_ragged_batch: they run apart, or are padded to one length (tensorgate.padding)`;
      refuse(['input', index, 'allow_ragged_batch'], text);
    }
    if (format !== undefined && format !== 'FORMAT_NONE') {
      warn(['input', index, 'format'], `${what}: format ${format} has no effect: tensors reach the model as they come`);
    }
  }
}

function checkReshape(
  what: string,
  path: Remark['path'],
  { dims, reshape }: ModelConfig['input'][number] | ModelConfig['output'][number],
  refuse: Sink['refuse'],
): void {
  if (reshape === undefined) return;
  if (dims === undefined) {
    refuse(path, `${what}: reshape says what the model has for dims, which are missing`);
    return;
  }
  const [ours, theirs] = [fixedParts(dims), fixedParts(reshape.shape)];
  const sides = `dims [${dims}] and the shape [${reshape.shape}] of reshape`;
  if (ours.length !== theirs.length) {
    refuse(
      path,
      `${what}: ${sides} have ${ours.length - 1} and ${theirs.length - 1} open sizes: expected equal numbers`,
    );
    return;
  }
  const differs = ours.findIndex((count, index) => count !== theirs[index]);
  if (differs < 0) return;
  const where = ours.length === 1 ? '' : ' between the same open sizes';
  const text = `${what}: ${sides} have ${ours[differs]} and ${theirs[differs]} elements${where}: expected equal numbers`;
  refuse(path, text);
}

/** Element counts of the fixed sizes before, between and after the open ones: equal parts keep each open size what it is. */
function fixedParts(shape: readonly number[]): readonly (number | undefined)[] {
  const parts: number[][] = [[]];
  for (const size of shape) {
    if (size < 0) parts.push([]);
    else parts.at(-1)?.push(size);
  }
  return parts.map(elementCount);
}

/** More would be as many threads, each with a session and its own copy of what a run needs. */
const MAX_INSTANCES = 1_024;

function checkInstances({ instance_group: groups }: ModelConfig, { refuse, warn }: Sink): void {
  const instances = groups.reduce((sum, { count = 1, gpus }) => sum + count * Math.max(1, gpus.length), 0);
  if (instances > MAX_INSTANCES) {
    refuse(['instance_group'], `instance_group asks for ${instances} instances; at most ${MAX_INSTANCES} are made`);
  }
  for (const [index, group] of groups.entries()) {
    const at = (field: string): Remark['path'] => ['instance_group', index, field];
    if (group.kind === 'KIND_CPU' && group.gpus.length > 0) {
      refuse(at('gpus'), `gpus [${group.gpus}] are named for instances of KIND_CPU: remove one of the two`);
    }
    if (group.passive === true) refuse(at('passive'), 'a passive instance would never run: remove the group');
    if ((group.secondary_devices?.length ?? 0) > 0) {
      refuse(at('secondary_devices'), 'secondary_devices cannot be used: ONNX Runtime has no provider for NVDLA here');
    }
    if (group.rate_limiter !== undefined) {
      const text = 'rate_limiter has no effect: each instance takes the next batch as soon as it is idle';
      warn(at('rate_limiter'), text);
    }
    if ((group.profile?.length ?? 0) > 0) warn(at('profile'), "profile has no effect: it is of TensorRT's own plans");
    if (isText(group.host_policy))
      warn(at('host_policy'), 'host_policy has no effect: instances are not bound to cores');
  }
}

const ACCELERATED = ['tensorrt', 'cuda'];

function checkOptimization({ optimization, instance_group: groups }: ModelConfig, { warn }: Sink): void {
  if (optimization === undefined) return;
  const at = (...fields: (string | number)[]): Remark['path'] => ['optimization', ...fields];
  if (optimization.priority !== undefined && optimization.priority !== 'PRIORITY_DEFAULT') {
    warn(at('priority'), 'optimization.priority has no effect: instances have the priority of their process');
  }
  const { cuda } = optimization;
  if (cuda !== undefined && Object.values(cuda).some((value) => value !== false)) {
    warn(at('cuda'), 'optimization.cuda has no effect: CUDA options besides the device cannot be set from Node');
  }
  for (const field of ['input_pinned_memory', 'output_pinned_memory'] as const) {
    if (optimization[field]?.enable !== true) continue;
    warn(at(field), `optimization.${field} has no effect: there is no pinned memory`);
  }
  for (const field of ['gather_kernel_buffer_threshold', 'eager_batching'] as const) {
    const value = optimization[field];
    if (value !== undefined && value !== 0 && value !== false) {
      warn(at(field), `optimization.${field} has no effect: batches are gathered by the gateway`);
    }
  }
  const { gpu_execution_accelerator: gpu = [], cpu_execution_accelerator: cpu = [] } =
    optimization.execution_accelerators ?? {};
  for (const [index, { name, parameters = {} }] of gpu.entries()) {
    const path = at('execution_accelerators', 'gpu_execution_accelerator', index);
    const keys = Object.keys(parameters);
    if (!ACCELERATED.includes(name)) {
      warn(path, `gpu_execution_accelerator '${name}' has no effect: known are ${ACCELERATED.join(', ')}`);
    } else if (keys.length > 0) {
      const text = `gpu_execution_accelerator '${name}' is not used, because its parameters (${keys.join(', ')}) cannot be set from Node: remove them, or set tensorgate.execution_providers`;
      warn(path, text);
    } else if (groups.length > 0 && groups.every(({ kind }) => kind === 'KIND_CPU')) {
      warn(path, `gpu_execution_accelerator '${name}' is of GPUs, and every instance is of KIND_CPU`);
    }
  }
  for (const [index, { name }] of cpu.entries()) {
    const text = `cpu_execution_accelerator '${name}' has no effect: on CPUs ONNX Runtime's own kernels run`;
    warn(at('execution_accelerators', 'cpu_execution_accelerator', index), text);
  }
}

function checkVersions({ tensorgate, ensemble_scheduling, sequence_batching }: ModelConfig, { refuse }: Sink): void {
  const { split, shadow } = tensorgate.traffic;
  const shares = Object.values(split ?? {});
  if (split !== undefined && !shares.some((share) => share > 0)) {
    refuse(['tensorgate', 'traffic', 'split'], 'no version has a share above 0');
  }
  if (shadow !== undefined && ensemble_scheduling !== undefined) {
    refuse(['tensorgate', 'traffic', 'shadow'], 'an ensemble cannot have a shadow: its steps would count the copies');
  }
  if (shadow !== undefined && sequence_batching !== undefined) {
    const text = 'a model with sequence_batching cannot have a shadow: copies of single requests are no sequence';
    refuse(['tensorgate', 'traffic', 'shadow'], text);
  }
  if (shadow !== undefined && shares.length === 1 && split?.[shadow.version] !== undefined) {
    const text = `version ${shadow.version} would be compared with itself: it answers all requests`;
    refuse(['tensorgate', 'traffic', 'shadow', 'version'], text);
  }
}

function checkParameters(
  { parameters, platform }: ModelConfig,
  { isTritons, isClients }: Omit<ConfigSource, 'content'>,
  { refuse, warn }: Sink,
): void {
  // They are for the code.
  if (platform === JAVASCRIPT) return;
  for (const [key, value] of Object.entries(parameters)) {
    const problem = parameterProblem(key, value) ?? (isClients ? clientParameterProblem(key, value) : undefined);
    if (problem !== undefined) refuse(['parameters', key], problem);
    if (isKnownParameter(key)) continue;
    if (isTritons) warn(['parameters', key], `parameters.${key} has no effect; clients see it in ModelConfig`);
    else
      refuse(
        ['parameters', key],
        `parameters.${key} is not supported${suggestion(key, [...SESSION_PARAMETERS, 'session.*', 'ep.*'])}`,
      );
  }
}

function checkRest(config: ModelConfig, { refuse, warn }: Sink): void {
  for (const field of ['batch_input', 'batch_output'] as const) {
    if ((config[field]?.length ?? 0) > 0) refuse([field], `${field} is not supported: requests are not ragged here`);
  }
  if ((config.model_operations?.op_library_filename?.length ?? 0) > 0) {
    refuse(
      ['model_operations'],
      "op_library_filename: libraries of operators cannot be loaded by ONNX Runtime's binding for Node",
    );
  }
  if ((config.model_repository_agents?.agents?.length ?? 0) > 0) {
    const text =
      'repository agents are not supported: files are loaded as they lie in the repository, neither checked nor decrypted; do that before, and remove this';
    refuse(['model_repository_agents'], text);
  }
  if (config.model_transaction_policy?.decoupled === true && config.platform !== JAVASCRIPT) {
    const text = `decoupled is not supported: an ONNX model gives one answer; remove it. The platform ${JAVASCRIPT} may be decoupled`;
    refuse(['model_transaction_policy'], text);
  }
  if (isText(config.runtime)) warn(['runtime'], 'runtime has no effect: models run on ONNX Runtime');
  if (isFilled(config.cc_model_filenames)) {
    warn(['cc_model_filenames'], 'cc_model_filenames has no effect: default_model_filename is loaded on every device');
  }
  if (isFilled(config.metric_tags))
    warn(['metric_tags'], 'metric_tags have no effect: metrics have the labels model and version');
  if (isFilled(config.model_metrics))
    warn(['model_metrics'], 'model_metrics has no effect: the buckets of histograms are fixed');
}

/** One row of each sample is held in memory while the model loads: 1 GiB of FP32. */
const MAX_WARM_UP_ELEMENTS = 256 * 1024 * 1024;

function checkWarmUps(
  { model_warmup: samples, max_batch_size: most, ensemble_scheduling }: ModelConfig,
  { refuse, warn }: Sink,
): void {
  if (samples.length > 0 && ensemble_scheduling !== undefined) {
    warn(
      ['model_warmup'],
      'model_warmup has no effect: an ensemble has no instances; configure it for the models of its steps',
    );
    return;
  }
  const shapes = samples.flatMap(({ inputs }) => [...inputs.values()].map(({ dims }) => dims));
  const elements = shapes.reduce((sum, dims) => sum + (elementCount(dims) ?? Number.POSITIVE_INFINITY), 0);
  if (elements > MAX_WARM_UP_ELEMENTS) {
    const text = `the rows of all samples have ${elements} elements; at most ${MAX_WARM_UP_ELEMENTS} are held`;
    refuse(['model_warmup'], text);
  }
  for (const [index, { batch_size: rows, inputs, ...sample }] of samples.entries()) {
    const what = nameOfWarmUp(sample, index);
    if (most !== undefined && rows > Math.max(1, most)) {
      const text = `${what}: batch_size is ${rows}, above max_batch_size, which is ${most}`;
      refuse(['model_warmup', index, 'batch_size'], text);
    }
    for (const [name, input] of inputs) {
      const at: Remark['path'] = ['model_warmup', index, 'inputs', name];
      const sources = (['zero_data', 'random_data', 'input_data_file'] as const).filter(
        (field) => input[field] !== undefined,
      );
      if (sources.length !== 1) {
        const got = sources.length === 0 ? 'none' : sources.join(' and ');
        refuse(at, `${what}, input '${name}': expected one of zero_data, random_data and input_data_file, got ${got}`);
      }
    }
  }
}
