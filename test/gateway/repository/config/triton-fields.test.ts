/** Every field of Triton's `ModelConfig`, as the descriptor of the protocol lists them: each is known, and has an effect or a remark. */

import { describe, expect, test } from 'vitest';
import { parseModelConfig } from '../../../../src/gateway/repository/config/config-file.ts';
import { modelConfigMessage } from '../../../../src/gateway/repository/config/config-pbtxt.ts';
import { ModelConfigError } from '../../../../src/gateway/repository/config/model-config.ts';
import type { Field, MessageType } from '../../../../src/gateway/repository/config/text-format-type.ts';

/** A field, behind the fields that lead to it. */
type FieldPath = readonly { readonly name: string; readonly field: Field }[];
type Content = Readonly<Record<string, unknown>>;

const FIELDS = [...fieldsOf(modelConfigMessage())].map((path) => ({
  name: path.map(({ name }) => name).join('.'),
  path,
}));

function* fieldsOf(message: MessageType, before: FieldPath = []): Generator<FieldPath> {
  for (const [name, field] of Object.entries(message.fields)) {
    const path = [...before, { name, field }];
    yield path;
    if (isMessage(field.type)) yield* fieldsOf(field.type, path);
  }
}

function isMessage(type: Field['type']): type is MessageType {
  return typeof type === 'object' && 'fields' in type;
}

const TENSOR = { data_type: 'TYPE_FP32', dims: [1] };

/** What messages need besides the field that a test sets. */
const NEEDED: Readonly<Record<string, Content>> = {
  input: { name: 'x', dims: [3] },
  output: { name: 'y', dims: [3] },
  'sequence_batching.control_input': { name: 'x', control: [{}] },
  'sequence_batching.state': { input_name: 'a', output_name: 'b', ...TENSOR },
  'sequence_batching.state.initial_state': TENSOR,
  ensemble_scheduling: { step: [{ model_name: 'm', input_map: { x: 'y' }, output_map: { z: 'w' } }] },
  'ensemble_scheduling.step': { model_name: 'm', input_map: { x: 'y' }, output_map: { z: 'w' } },
  'optimization.execution_accelerators.gpu_execution_accelerator': { name: 'cuda' },
  'optimization.execution_accelerators.cpu_execution_accelerator': { name: 'openvino' },
  'instance_group.rate_limiter.resources': { name: 'r' },
  'model_warmup.inputs': TENSOR,
};

/** A configuration with one field; messages on the way have what they need. */
function configWith(path: FieldPath, value: unknown, before: readonly string[] = []): Content {
  const [first, ...rest] = path;
  if (first === undefined) return {};
  const names = [...before, first.name];
  const { type, label } = first.field;
  const inner = isMessage(type) ? { ...NEEDED[names.join('.')], ...configWith(rest, value, names) } : value;
  return { [first.name]: label === 'repeated' ? [inner] : label === 'map' ? { 1: inner } : inner };
}

function sampleOf({ type }: Field, kind: 'zero' | 'other'): unknown {
  if (isMessage(type)) return {};
  if (typeof type === 'object') return kind === 'zero' ? type.values[0] : (type.values[1] ?? type.values[0]);
  if (type === 'string') return kind === 'zero' ? '' : 'other';
  if (type === 'bool') return kind !== 'zero';
  return kind === 'zero' ? 0 : type === 'float' ? 0.5 : 3;
}

/** Problems and warnings, without places. */
function remarksOf(config: Content): readonly string[] {
  try {
    const { warnings } = parseModelConfig({ text: JSON.stringify(config), name: 'f', form: 'request' }, 'other');
    return warnings.map(withoutPlace);
  } catch (error) {
    if (error instanceof ModelConfigError) return error.problems.map(withoutPlace);
    throw error;
  }
}

function withoutPlace(remark: string): string {
  return remark.replace(/^f:\d+:\d+: /, '');
}

/** Fields that a model is served by, and fields of messages that have an effect as a whole. */
const HONOURED: ReadonlySet<string> = new Set([
  'name',
  'version_policy.latest',
  'version_policy.latest.num_versions',
  'version_policy.all',
  'version_policy.specific.versions',
  'max_batch_size',
  ...['input', 'output'].flatMap((kind) => [kind, `${kind}.name`, `${kind}.data_type`, `${kind}.dims`]),
  'input.optional',
  ...['input', 'output'].map((kind) => `${kind}.reshape.shape`),
  'output.label_filename',
  'optimization',
  'optimization.graph',
  'optimization.cuda',
  'optimization.execution_accelerators',
  'optimization.execution_accelerators.gpu_execution_accelerator',
  'optimization.input_pinned_memory',
  'optimization.output_pinned_memory',
  'dynamic_batching',
  'dynamic_batching.preferred_batch_size',
  'dynamic_batching.max_queue_delay_microseconds',
  ...['', '.timeout_action', '.default_timeout_microseconds', '.allow_timeout_override', '.max_queue_size'].map(
    (field) => `dynamic_batching.default_queue_policy${field}`,
  ),
  'sequence_batching',
  'sequence_batching.max_sequence_idle_microseconds',
  ...['', '.name', '.control', '.control.kind', '.control.data_type'].map(
    (field) => `sequence_batching.control_input${field}`,
  ),
  'sequence_batching.direct',
  'sequence_batching.direct.max_queue_delay_microseconds',
  'sequence_batching.direct.minimum_slot_utilization',
  'sequence_batching.oldest',
  'sequence_batching.oldest.max_candidate_sequences',
  'sequence_batching.oldest.preferred_batch_size',
  'sequence_batching.oldest.max_queue_delay_microseconds',
  ...['', '.input_name', '.output_name', '.data_type', '.dims', '.initial_state'].map(
    (field) => `sequence_batching.state${field}`,
  ),
  ...['.data_type', '.dims', '.zero_data', '.data_file'].map(
    (field) => `sequence_batching.state.initial_state${field}`,
  ),
  'ensemble_scheduling',
  ...['', '.model_name', '.model_version', '.input_map', '.output_map'].map(
    (field) => `ensemble_scheduling.step${field}`,
  ),
  'instance_group',
  'instance_group.count',
  'instance_group.gpus',
  'instance_group.kind',
  'default_model_filename',
  'model_warmup',
  'model_warmup.batch_size',
  'model_warmup.inputs.zero_data',
  'model_warmup.inputs.random_data',
  'model_warmup.inputs.input_data_file',
  'model_warmup.count',
  'model_operations',
  'model_transaction_policy',
  'model_repository_agents',
  'response_cache',
  'response_cache.enable',
  'model_metrics',
]);

/** Names for people, which change nothing. */
const LABELS: ReadonlySet<string> = new Set([
  'instance_group.name',
  'model_warmup.name',
  'sequence_batching.state.initial_state.name',
]);

describe("each field of Triton's configuration", () => {
  test('is known to the schema', () => {
    const unknown = FIELDS.flatMap(({ path }) => remarksOf(configWith(path, sampleOf(leafOf(path), 'other'))));
    expect(unknown.filter((remark) => /Unrecognized|no such field/.test(remark))).toEqual([]);
  });

  test('has an effect, or a problem or warning that says why it has none', () => {
    const silent = FIELDS.filter(
      ({ path }) => remarksOf(configWith(path, sampleOf(leafOf(path), 'other'))).length === 0,
    ).map(({ name }) => name);
    expect(silent.filter((name) => !HONOURED.has(name) && !LABELS.has(name))).toEqual([]);
  });

  test('names itself, or the message that it is a part of, in its remark', () => {
    const nameless = FIELDS.flatMap(({ path }) => {
      const remarks = remarksOf(configWith(path, sampleOf(leafOf(path), 'other')));
      return remarks.filter((remark) => !path.some(({ name }) => remark.replaceAll(/[ -]/g, '_').includes(name)));
    });
    expect(nameless).toEqual([]);
  });
});

/** Protobuf's text and JSON write such values, and its messages do not keep them apart from omitted fields. */
test.each(
  FIELDS.filter(({ path }) => {
    const { type, label } = leafOf(path);
    return label === 'singular' && !isMessage(type);
  })
    // A configuration that gives 0 turns batching off; an omitted size is read from the model.
    .filter(({ name }) => name !== 'max_batch_size')
    // Triton has a version 0, which is no version here.
    .filter(({ name }) => name !== 'ensemble_scheduling.step.model_version')
    // One of several in a `oneof`: its presence is what counts.
    .filter(({ name }) => !/zero_data|random_data|input_data_file|data_file$/.test(name))
    // Needed in every configuration.
    .filter(
      ({ name, path }) => !Object.hasOwn(NEEDED[name.slice(0, name.lastIndexOf('.'))] ?? {}, path.at(-1)?.name ?? ''),
    ),
)("the field '$name' with protobuf's default value is as good as omitted", ({ path }) => {
  const omitted = configWith(path.slice(0, -1), undefined);
  expect(remarksOf(configWith(path, sampleOf(leafOf(path), 'zero')))).toEqual(remarksOf(omitted));
});

function leafOf(path: FieldPath): Field {
  const leaf = path.at(-1);
  if (leaf === undefined) throw new TypeError('a path without fields');
  return leaf.field;
}
