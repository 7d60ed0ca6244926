import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type ConfigText,
  parseModelConfig,
  readModelConfig,
} from '../../../../src/gateway/repository/config/config-file.ts';
import { type ModelConfig, ModelConfigError } from '../../../../src/gateway/repository/config/model-config.ts';
import { temporaryDirectory } from '../../../support/temporary-directory.ts';

function written(text: string, name = 'config.yaml'): string {
  const file = path.join(temporaryDirectory(), name);
  fs.writeFileSync(file, text);
  return file;
}

async function read(text: string, name?: string): Promise<ModelConfig> {
  return (await readModelConfig(written(text, name), 'm')).config;
}

/** What is wrong, without the directory. */
async function problemOf(text: string, name?: string): Promise<string> {
  const file = written(text, name);
  try {
    await readModelConfig(file, 'm');
  } catch (error) {
    if (error instanceof ModelConfigError) return error.message.replaceAll(`${path.dirname(file)}${path.sep}`, '');
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('defaults', () => {
  test('without a file', async () => {
    expect((await readModelConfig(undefined, 'm')).config).toMatchObject({
      default_model_filename: 'model.onnx',
      version_policy: { all: {} },
      instance_group: [],
      parameters: {},
      dynamic_batching: {
        max_queue_delay_microseconds: 0,
        preferred_batch_size: [],
        default_queue_policy: { default_timeout_microseconds: 0 },
      },
      tensorgate: { row_independence: 'verify' },
    });
  });

  test.each(['', '# nothing but a comment\n', '{}'])("with an empty file: '%s'", async (text) => {
    expect(await read(text)).toEqual((await readModelConfig(undefined, 'm')).config);
  });

  test('apply in a section with only one field', async () => {
    expect((await read('dynamic_batching: { max_queue_delay_microseconds: 100 }')).dynamic_batching).toMatchObject({
      max_queue_delay_microseconds: 100,
      preferred_batch_size: [],
      default_queue_policy: { default_timeout_microseconds: 0 },
    });
  });
});

describe('forms', () => {
  test('JSON is read as it is', async () => {
    const text = JSON.stringify({ max_batch_size: 4, version_policy: { specific: { versions: [1] } } }, undefined, 2);
    expect(await read(text, 'config.json')).toMatchObject({
      max_batch_size: 4,
      version_policy: { specific: { versions: ['1'] } },
    });
  });

  test("integers of 64 bits may be texts, as protobuf's JSON has them", async () => {
    const json = `{
      "input": [{ "name": "a", "dims": ["3", "-1"] }],
      "version_policy": { "specific": { "versions": ["1", "3"] } },
      "dynamic_batching": { "max_queue_delay_microseconds": "250", "priority_levels": "2", "default_priority_level": "1" }
    }`;
    expect(await read(json, 'config.json')).toMatchObject({
      input: [{ dims: [3, -1] }],
      version_policy: { specific: { versions: ['1', '3'] } },
      dynamic_batching: { max_queue_delay_microseconds: 250, priority_levels: 2 },
    });
    expect(await problemOf('input: [{ name: a, dims: ["x"] }]')).toContain('input.0.dims.0: Invalid input');
  });

  test("parameters may be written Triton's way, or plainly", async () => {
    const text = `
parameters:
  intra_op_thread_count: { string_value: "2" }
  inter_op_thread_count: 3
  session.disable_quant_qdq: "1"
  enable_mem_arena: 0
`;
    expect((await read(text)).parameters).toEqual({
      intra_op_thread_count: '2',
      inter_op_thread_count: '3',
      'session.disable_quant_qdq': '1',
      enable_mem_arena: '0',
    });
  });

  test('the newest versions are one where their number is not said', async () => {
    expect((await read('version_policy: { latest: {} }')).version_policy).toEqual({ latest: { num_versions: 1 } });
  });

  test('instance groups', async () => {
    expect((await read('instance_group: [{ count: 2, kind: KIND_CPU }, { gpus: [0, 1] }]')).instance_group).toEqual([
      { count: 2, kind: 'KIND_CPU', gpus: [] },
      { kind: 'KIND_AUTO', gpus: [0, 1] },
    ]);
  });
});

describe('a refusal says where, and suggests similar names', () => {
  test.each([
    {
      name: 'an unknown field',
      text: 'max_batch_size: 4\nmax_batchsize: 8\n',
      problem: `config.yaml:2:16: max_batchsize: Unrecognized key: "max_batchsize"; did you mean 'max_batch_size'?`,
    },
    {
      name: 'an unknown field of a section',
      text: 'dynamic_batching:\n  max_queue_delay_us: 5\n',
      problem: /^config\.yaml:2:\d+: dynamic_batching\.max_queue_delay_us: Unrecognized key/,
    },
    {
      name: 'an unknown field of an element',
      text: 'input:\n  - name: x\n    shape: [1]\n',
      problem: /^config\.yaml:3:\d+: input\.0\.shape: Unrecognized key: "shape"; did you mean 'reshape'\?$/,
    },
    {
      name: 'a text where a number is wanted',
      text: 'max_batch_size: many\n',
      problem: /^config\.yaml:1:17: max_batch_size: .*expected (number|int)/,
    },
    {
      name: 'a number that is too small',
      text: 'instance_group:\n- count: -1\n',
      problem: /^config\.yaml:2:10: instance_group\.0\.count: .*>=0/,
    },
    { name: 'a negative size', text: 'max_batch_size: -1', problem: /^config\.yaml:1:17: max_batch_size: .*>=0/ },
    {
      name: 'an unknown datatype',
      text: 'input: [{ name: x, data_type: FP32 }]',
      problem: /^config\.yaml:1:31: input\.0\.data_type: .*TYPE_FP32/,
    },
    {
      name: 'a file name with directories',
      text: 'default_model_filename: ../other/model.onnx',
      problem: /default_model_filename: expected a relative path without '\.\.' and backslashes$/,
    },
    { name: 'YAML that is none', text: 'max_batch_size: [1\n', problem: /^config\.yaml:\d+:\d+: / },
    { name: 'a key twice', text: 'max_batch_size: 1\nmax_batch_size: 2\n', problem: /^config\.yaml:2:1: .*unique/ },
    { name: 'a list', text: '- max_batch_size: 1\n', problem: /^config\.yaml:1:1: .*expected object/ },
    { name: 'two documents', text: 'max_batch_size: 1\n---\nmax_batch_size: 2\n', problem: /^config\.yaml:\d+:\d+: / },
    { name: 'an alias of nothing', text: 'max_batch_size: *size\n', problem: /^config\.yaml:1:\d+: .*[Aa]lias/ },
    {
      name: 'aliases of aliases without end',
      text: [
        'a: &a [1,1,1,1,1,1,1,1,1,1]',
        ...['b', 'c', 'd', 'e', 'f'].map((key, index) => `${key}: &${key} [${Array(10).fill(`*${'abcde'[index]}`)}]`),
      ].join('\n'),
      problem: /^config\.yaml:\d+:\d+: .*alias/i,
    },
    {
      name: 'a runner name that is no name',
      text: 'tensorgate: { runner: ../x }',
      problem: /^config\.yaml:1:\d+: tensorgate\.runner: /,
    },
    {
      name: 'a run time that no timer can hold',
      text: 'tensorgate: { max_run_ms: 3000000000 }',
      problem: /^config\.yaml:1:27: tensorgate\.max_run_ms: .*<=2147483647/,
    },
    {
      name: 'JSON',
      text: '{\n  "max_batch_sizes": 1\n}',
      file: 'config.json',
      problem: /^config\.json:2:\d+: .*max_batch_size'\?$/,
    },
  ])('$name', async ({ text, problem, file }) => {
    if (typeof problem === 'string') expect(await problemOf(text, file)).toBe(problem);
    else expect(await problemOf(text, file)).toMatch(problem);
  });

  test('several problems are reported at once', async () => {
    expect((await problemOf('max_batch_size: -1\nbackend: python\n')).split('; ')).toHaveLength(2);
  });

  test('a name that is not the directory, with both', async () => {
    expect(await problemOf('name: other')).toBe(
      "config.yaml:1:7: name is 'other', but the directory is 'm': they must be equal",
    );
    expect((await read('name: m')).name).toBe('m');
  });

  test('a key that every object has is no known key', async () => {
    expect(await problemOf('toString: 1')).toContain('Unrecognized key');
    expect(await problemOf('constructor: 1')).toContain('Unrecognized key');
  });
});

/** The errors in a `config.pbtxt`, or its ignored settings. */
function remarksOf(text: string, form: ConfigText['form'] = 'pbtxt'): { problems: string[]; warnings: string[] } {
  try {
    return { problems: [], warnings: [...parseModelConfig({ text, name: 'f', form }, 'm').warnings] };
  } catch (error) {
    if (error instanceof ModelConfigError) return { problems: [...error.problems], warnings: [] };
    throw error;
  }
}

describe("Triton's config.pbtxt", () => {
  test('is read like the others', async () => {
    const text = `
      name: "m"  # as the directory
      platform: "onnxruntime_onnx"
      max_batch_size: 8
      input [ { name: "A" data_type: TYPE_FP32 dims: [ 4 ] } ]
      output { name: "SUM" data_type: TYPE_FP32 dims: 4 label_filename: "labels.txt" }
      instance_group [ { count: 2 kind: KIND_CPU } ]
      dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
      version_policy: { specific: { versions: [ 1, 3 ] } }
      parameters { key: "intra_op_thread_count" value: { string_value: "2" } }
      optimization { graph { level: 1 } }
    `;
    expect(await read(text, 'config.pbtxt')).toMatchObject({
      name: 'm',
      max_batch_size: 8,
      input: [{ name: 'A', data_type: 'TYPE_FP32', dims: [4] }],
      output: [{ name: 'SUM', data_type: 'TYPE_FP32', dims: [4], label_filename: 'labels.txt' }],
      instance_group: [{ count: 2, kind: 'KIND_CPU', gpus: [] }],
      dynamic_batching: { preferred_batch_size: [4, 8], max_queue_delay_microseconds: 100 },
      version_policy: { specific: { versions: ['1', '3'] } },
      parameters: { intra_op_thread_count: '2' },
      optimization: { graph: { level: 1 } },
    });
  });

  test("has Triton's defaults where it is silent", async () => {
    expect(await read('', 'config.pbtxt')).toMatchObject({
      version_policy: { latest: { num_versions: 1 } },
      dynamic_batching: { default_queue_policy: { max_queue_size: 0, allow_timeout_override: false } },
    });
    expect(await read('', 'config.yaml')).toMatchObject({
      version_policy: { all: {} },
      dynamic_batching: { default_queue_policy: { allow_timeout_override: true } },
    });
    const levels = `dynamic_batching {
      priority_levels: 2 default_priority_level: 2
      default_queue_policy { max_queue_size: 5 }
      priority_queue_policy { key: 1 value { allow_timeout_override: true } }
    }`;
    expect((await read(levels, 'config.pbtxt')).dynamic_batching).toMatchObject({
      default_queue_policy: { max_queue_size: 5, allow_timeout_override: false },
      priority_queue_policy: { 1: { max_queue_size: 0, allow_timeout_override: true } },
    });
  });

  test('distinguishes a size of 0 from an omitted one', async () => {
    expect((await read('max_batch_size: 0', 'config.pbtxt')).max_batch_size).toBe(0);
    expect((await read('', 'config.pbtxt')).max_batch_size).toBeUndefined();
  });

  test('is refused with line and column, by syntax, by schema and by rule', () => {
    expect(remarksOf('input [ {\n  nam: "x"\n} ]').problems).toEqual([
      "f:2:3: nam: there is no such field; did you mean 'name'?",
    ]);
    expect(remarksOf('max_batch_size: 4\ninstance_group { count: -1 }').problems).toEqual([
      expect.stringMatching(/^f:2:25: instance_group\.0\.count: .*>=0/),
    ]);
    expect(remarksOf('\nbackend: "python"').problems).toEqual([
      "f:2:10: backend: expected onnxruntime, the only backend here, got 'python': export the model to ONNX, or omit backend if it already is one",
    ]);
    expect(
      remarksOf('name: "other"\nmax_batch_size: 2\ndynamic_batching { preferred_batch_size: [ 2, 4 ] }').problems,
    ).toEqual([
      "f:1:7: name is 'other', but the directory is 'm': they must be equal",
      'f:3:47: preferred_batch_size 4 is above max_batch_size, which is 2',
    ]);
  });
});

describe('what fits only together', () => {
  test.each([
    {
      text: 'max_batch_size: 0 dynamic_batching { preferred_batch_size: 4 }',
      problem: 'preferred_batch_size 4 is above',
    },
    { text: 'dynamic_batching { priority_levels: 2 }', problem: 'default_priority_level is 0, expected 1 to' },
    {
      text: 'dynamic_batching { priority_levels: 2 default_priority_level: 3 }',
      problem: 'default_priority_level is 3',
    },
    { text: 'dynamic_batching { default_priority_level: 1 }', problem: 'but priority_levels is 0' },
    {
      text: 'dynamic_batching { priority_levels: 1 default_priority_level: 1 priority_queue_policy { key: 2 } }',
      problem: 'priority_queue_policy is of level 2, expected 1 to priority_levels, which is 1',
    },
    { text: 'sequence_batching { direct {} oldest {} }', problem: 'oldest and direct exclude each other' },
    {
      text: 'sequence_batching {} dynamic_batching {}',
      problem: 'dynamic_batching and sequence_batching exclude each',
    },
    { text: 'sequence_batching {} response_cache { enable: true }', problem: 'they cannot be cached' },
    { text: 'sequence_batching { iterative_sequence: true }', problem: 'iterative sequences' },
    {
      text: `sequence_batching {
        state { input_name: "a" output_name: "b" data_type: TYPE_FP32 dims: 1 }
        state { input_name: "a" output_name: "c" data_type: TYPE_FP32 dims: 1 } }`,
      problem: "two states have the input_name 'a'",
    },
    { text: 'platform: "ensemble"', problem: 'there is no ensemble_scheduling' },
    {
      text: `ensemble_scheduling { step { model_name: "a" input_map { key: "x" value: "y" } output_map { key: "z" value: "w" } } }
        instance_group { count: 1 }`,
      problem: 'an ensemble has no instances',
    },
    {
      text: `ensemble_scheduling { step { model_name: "a" input_map { key: "x" value: "y" } output_map { key: "z" value: "w" } } }
        input { name: "y" dims: [1] reshape { shape: [] } }`,
      problem: "input 'y': an ensemble passes tensors on unchanged: remove reshape",
    },
    { text: 'input { name: "x" } input { name: "x" }', problem: "f:1:35: input 'x' is there twice: keep one" },
    {
      text: 'input { name: "x" dims: [4] reshape { shape: [2, 3] } }',
      problem: 'dims [4] and the shape [2,3] of reshape have 4 and 6 elements',
    },
    {
      text: 'input { name: "x" dims: [-1, 4] reshape { shape: [8] } }',
      problem: 'dims [-1,4] and the shape [8] of reshape have 1 and 0 open sizes',
    },
    {
      text: 'input { name: "x" dims: [2, 4, -1, 6] reshape { shape: [8, -1, 2, 6] } }',
      problem: 'have 6 and 12 elements between the same open sizes',
    },
    { text: 'input { name: "x" reshape { } }', problem: 'for dims, which are missing' },
    {
      text: 'max_batch_size: 4 model_warmup { name: "s" batch_size: 5 }',
      problem: "model_warmup 's': batch_size is 5, above max_batch_size, which is 4",
    },
    { text: 'max_batch_size: 0 model_warmup { batch_size: 2 }', problem: 'batch_size is 2, above max_batch_size' },
    {
      text: 'model_warmup { inputs { key: "x" value { data_type: TYPE_FP32 dims: 4 } } }',
      problem: "model_warmup 0, input 'x': expected one of zero_data, random_data and input_data_file, got none",
    },
    {
      text: 'model_warmup { inputs { key: "x" value { data_type: TYPE_FP32 dims: -1 zero_data: true } } }',
      problem: 'model_warmup.0.inputs.x.dims.0: Too small',
    },
    {
      text: 'model_warmup { inputs { key: "x" value { data_type: TYPE_FP32 zero_data: false } } }',
      problem: 'expected true, or no such field',
    },
    {
      text: 'model_warmup { inputs { key: "x" value { data_type: TYPE_FP32 input_data_file: "../f" } } }',
      problem: "expected a relative path without '..' and backslashes",
    },
    { text: 'instance_group { kind: KIND_CPU gpus: [0] }', problem: 'gpus [0] are named for instances of KIND_CPU' },
  ])('$text', ({ text, problem }) => {
    const { problems } = remarksOf(text);
    expect(problems).toEqual([expect.stringContaining(problem)]);
    expect(problems[0]).toMatch(/^f:\d+:\d+: /);
  });

  test('a model of sequences may bound its queue, and say nothing else of dynamic batching', () => {
    const policy = 'dynamic_batching: { default_queue_policy: { max_queue_size: 5 } }';
    expect(remarksOf(`sequence_batching: {}\n${policy}`, 'yaml').problems).toEqual([]);
    expect(
      remarksOf('sequence_batching: {}\ndynamic_batching: { preferred_batch_size: [1] }', 'yaml').problems,
    ).toEqual(['f:2:43: dynamic_batching.preferred_batch_size has no meaning with sequence_batching: remove it']);
  });
});

describe('what Triton has and this server has not', () => {
  test.each([
    { text: 'input { name: "x" allow_ragged_batch: true }', about: 'remove allow_ragged_batch' },
    { text: 'input { name: "x" is_shape_tensor: true }', about: 'remove is_shape_tensor' },
    { text: 'output { name: "x" is_non_linear_format_io: true }', about: 'remove is_non_linear_format_io' },
    { text: 'batch_input { kind: BATCH_ELEMENT_COUNT }', about: 'batch_input is not supported' },
    { text: 'batch_output { target_name: "x" }', about: 'batch_output is not supported' },
    { text: 'model_operations { op_library_filename: "x.so" }', about: 'libraries of operators' },
    { text: 'model_repository_agents { agents { name: "checksum" } }', about: 'repository agents are not supported' },
    { text: 'model_transaction_policy { decoupled: true }', about: 'decoupled is not supported' },
    { text: 'instance_group { passive: true }', about: 'a passive instance' },
    { text: 'instance_group { kind: KIND_MODEL }', about: 'expected KIND_AUTO, KIND_CPU or KIND_GPU' },
    { text: 'instance_group { secondary_devices { device_id: 0 } }', about: 'secondary_devices' },
    {
      text: 'platform: "tensorrt_plan"',
      about:
        "expected onnxruntime_onnx, ensemble, tensorgate_tokenizer, tensorgate_pooling, tensorgate_labels, tensorgate_javascript, tensorgate_image, the only supported platforms, got 'tensorrt_plan'",
    },
  ])('is refused where answers would change: $text', ({ text, about }) => {
    expect(remarksOf(text).problems).toEqual([expect.stringContaining(about)]);
  });

  test.each([
    { text: 'input { name: "x" format: FORMAT_NCHW }', about: 'format FORMAT_NCHW has no effect' },
    { text: 'instance_group { rate_limiter { priority: 2 } }', about: 'rate_limiter has no effect' },
    { text: 'instance_group { profile: "1" }', about: 'profile has no effect' },
    { text: 'instance_group { host_policy: "numa" }', about: 'host_policy has no effect' },
    { text: 'optimization { priority: PRIORITY_MAX }', about: 'optimization.priority has no effect' },
    { text: 'optimization { cuda { graphs: true } }', about: 'optimization.cuda has no effect' },
    { text: 'optimization { input_pinned_memory { enable: true } }', about: 'input_pinned_memory has no effect' },
    { text: 'optimization { output_pinned_memory { enable: true } }', about: 'output_pinned_memory has no effect' },
    { text: 'optimization { gather_kernel_buffer_threshold: 4 }', about: 'gather_kernel_buffer_threshold has no' },
    { text: 'optimization { eager_batching: true }', about: 'eager_batching has no effect' },
    {
      text: 'optimization { execution_accelerators { cpu_execution_accelerator { name: "openvino" } } }',
      about: "cpu_execution_accelerator 'openvino' has no effect",
    },
    {
      text: 'optimization { execution_accelerators { gpu_execution_accelerator { name: "auto_io" } } }',
      about: "gpu_execution_accelerator 'auto_io' has no effect",
    },
    { text: 'sequence_batching { oldest { preserve_ordering: true } }', about: 'preserve_ordering has no effect' },
    { text: 'dynamic_batching { preserve_ordering: true }', about: 'preserve_ordering has no effect' },
    { text: 'max_batch_size: 0 dynamic_batching { }', about: 'dynamic_batching joins nothing' },
    { text: 'parameters { key: "owner" value { string_value: "us" } }', about: 'parameters.owner has no effect' },
    { text: 'runtime: "x.so"', about: 'runtime has no effect' },
    { text: 'cc_model_filenames { key: "7.5" value: "m.onnx" }', about: 'cc_model_filenames has no effect' },
    { text: 'metric_tags { key: "a" value: "b" }', about: 'metric_tags have no effect' },
    { text: 'model_metrics { metric_control { } }', about: 'model_metrics has no effect' },
    {
      text: `ensemble_scheduling { step { model_name: "a" input_map { key: "x" value: "y" } output_map { key: "z" value: "w" } } }
        model_warmup { name: "w" }`,
      about: 'model_warmup has no effect',
    },
    {
      text: `ensemble_scheduling { max_inflight_requests: 4 step { model_name: "a" input_map { key: "x" value: "y" } output_map { key: "z" value: "w" } } }`,
      about: 'max_inflight_requests has no effect',
    },
    {
      text: `sequence_batching { state { input_name: "a" output_name: "b" data_type: TYPE_FP32 dims: 1
        use_growable_memory: true } }`,
      about: 'use_growable_memory has no effect',
    },
  ])('is taken with a warning where they would not: $text', ({ text, about }) => {
    const { problems, warnings } = remarksOf(text);
    expect(problems).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining(about)]);
    expect(warnings[0]).toMatch(/^f:\d+:\d+: /);
  });

  test('is not mentioned where the text only states the default', () => {
    const text = `
      platform: "" backend: "onnxruntime" runtime: ""
      input { name: "x" format: FORMAT_NONE optional: false allow_ragged_batch: false is_shape_tensor: false }
      output { name: "y" label_filename: "" }
      instance_group { name: "g" passive: false host_policy: "" }
      optimization { priority: PRIORITY_DEFAULT eager_batching: false input_pinned_memory { enable: false } cuda { } }
      model_transaction_policy { decoupled: false }
    `;
    expect(remarksOf(text)).toEqual({ problems: [], warnings: [] });
  });

  test('every field of the table is known to the schema', () => {
    const text = `
      batch_input [] batch_output [] optimization { cuda { graph_spec { batch_size: 1 input { key: "x" value { dim: 1 } }
        graph_lower_bound { batch_size: 1 input { key: "x" value { dim: 1 } } } } busy_wait_events: true output_copy_stream: true } }
      instance_group { rate_limiter { resources { name: "r" global: true count: 1 } } }
      model_metrics { metric_control { metric_identifier { family: "f" } histogram_options { buckets: [1] } } }
      model_warmup { batch_size: 1 count: 1 inputs { key: "x" value { data_type: TYPE_FP32 input_data_file: "f" } } }
      response_cache { enable: true }
    `;
    expect(remarksOf(text).problems).toEqual([]);
  });

  test('parameters that mean nothing are refused in a configuration that was written for this server', () => {
    const text = 'parameters: { intra_op_threads: "1" }';
    expect(remarksOf(text, 'yaml').problems).toEqual([
      'f:1:33: parameters.intra_op_threads is not supported; known are intra_op_thread_count, inter_op_thread_count, execution_mode, enable_mem_arena, enable_mem_pattern, session.*, ep.*',
    ]);
    expect(remarksOf('{ "parameters": { "owner": { "string_value": "us" } } }', 'request').problems).toEqual([]);
  });
});

describe("Triton's accelerators", () => {
  const accelerator = (name: string, rest = ''): string =>
    `optimization { execution_accelerators { gpu_execution_accelerator : [ { name : "${name}" ${rest} } ] } }`;

  test.each([
    { name: 'tensorrt', providers: ['tensorrt', 'cuda', 'cpu'] },
    { name: 'cuda', providers: ['cuda', 'cpu'] },
  ])('$name is a list of execution providers', async ({ name, providers }) => {
    expect((await read(accelerator(name), 'config.pbtxt')).tensorgate.execution_providers).toEqual(providers);
  });

  test('with parameters that cannot be set are not used, which a warning says', async () => {
    const text = accelerator('tensorrt', 'parameters { key: "precision_mode" value: "FP16" }');
    expect((await read(text, 'config.pbtxt')).tensorgate.execution_providers).toBeUndefined();
    expect(remarksOf(text).warnings).toEqual([
      expect.stringContaining('its parameters (precision_mode) cannot be set'),
    ]);
  });
});
