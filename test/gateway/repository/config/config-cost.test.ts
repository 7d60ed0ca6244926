/** What a configuration may cost: at their limits, and made to cost as much as they can. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type ConfigText,
  parseModelConfig,
  readModelConfig,
} from '../../../../src/gateway/repository/config/config-file.ts';
import { ModelConfigError } from '../../../../src/gateway/repository/config/model-config.ts';
import { runProgram } from '../../../support/run-program.ts';
import { temporaryDirectory } from '../../../support/temporary-directory.ts';

/** The size of a text in characters. */
const MAX_LENGTH = 1024 * 1024 - 64;

/** `unit` of 0, 1, 2, … as often as a text may be long. */
function repeated(unit: (index: number) => string): string {
  const parts: string[] = [];
  for (let index = 0, length = 0; length < MAX_LENGTH; index++) {
    const part = unit(index);
    parts.push(part);
    length += part.length;
  }
  return parts.join('').slice(0, MAX_LENGTH);
}

function listed(count: number, unit: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => unit(index)).join(',');
}

/** Below the cap of values, so that the schema and the rules see all of it. */
const SENT: Readonly<Record<string, string>> = {
  'unknown keys': `{${listed(19_000, (i) => `"k${i}":1`)}}`,
  'more keys than are read': `{${repeated((i) => `"k${i}":1,`)}`,
  parameters: `{"parameters":{${listed(19_000, (i) => `"k${i}":"1"`)}}}`,
  'session options': `{"parameters":{${listed(19_000, (i) => `"session.k${i}":"1"`)}}}`,
  inputs: `{"input":[${listed(9_000, (i) => `{"name":"k${i}"}`)}]}`,
  'inputs of one name': `{"input":[${listed(9_000, () => '{"name":"k"}')}]}`,
  sizes: `{"input":[{"name":"a","dims":[${listed(19_000, () => '1')}]}]}`,
  'groups that are none': `{"instance_group":[${listed(19_000, () => '1')}]}`,
  groups: `{"instance_group":[${listed(19_000, () => '{}')}]}`,
  states: `{"sequence_batching":{"state":[${listed(2_500, () => '{"input_name":"a","output_name":"b","data_type":"TYPE_FP32","dims":[1]}')}]}}`,
  steps: `{"ensemble_scheduling":{"step":[${listed(4_500, () => '{"model_name":"m","input_map":{},"output_map":{}}')}]}}`,
  samples: `{"model_warmup":[${listed(19_000, () => '{}')}]}`,
  levels: `{"dynamic_batching":{"priority_queue_policy":{${listed(9_000, (i) => `"${i + 1}":{}`)}}}}`,
  labels: `{"tensorgate":{"labels":{${listed(19_000, (i) => `"k${i}":1`)}}}}`,
  nesting: `{"a":${'['.repeat(500_000)}`,
  'a long key': `{"${'x'.repeat(MAX_LENGTH - 10)}":1}`,
  'a long value': `{"name":"${'x'.repeat(MAX_LENGTH - 20)}"}`,
  escapes: `{"name":"${'\\u0041'.repeat(MAX_LENGTH / 6 - 10)}"}`,
  'empty lines': `${'\n'.repeat(MAX_LENGTH - 10)}{"a":1}`,
};

const YAML: Readonly<Record<string, string>> = {
  keys: repeated((i) => `k${i}: 1\n`),
  'keys below the cap of tokens': Array.from({ length: 9_000 }, (_, i) => `k${i}: 1\n`).join(''),
  'keys in a flow': `{${listed(9_000, (i) => `k${i}: 1`)}}`,
  'keys within keys': '? '.repeat(20_000),
  'lists within lists': '['.repeat(40_000),
  'lists within lists in blocks': `${'- '.repeat(20_000)}1`,
  'lists below one another': Array.from({ length: 500 }, (_, i) => `${' '.repeat(i)}-\n`).join(''),
  commas: `[${','.repeat(40_000)}]`,
  aliases: `a: &a 1\nb:\n${'- *a\n'.repeat(9_000)}`,
  'aliases of aliases': `a: &a [1,1,1,1,1,1,1,1,1]\n${Array.from({ length: 12 }, (_, i) => `b${i}: &${'b'.repeat(i + 1)} [${listed(9, () => `*${i === 0 ? 'a' : 'b'.repeat(i)}`)}]\n`).join('')}`,
  anchors: Array.from({ length: 9_000 }, (_, i) => `- &a${i} 1\n`).join(''),
  documents: '---\n'.repeat(20_000),
  blanks: `${'\n'.repeat(40_000)}a: 1`,
  comments: '#\n'.repeat(20_000),
  groups: `instance_group:\n${'- {}\n'.repeat(9_000)}`,
};

const PBTXT: Readonly<Record<string, string>> = {
  'unknown fields': repeated((i) => `k${i}: 1\n`),
  'long unknown fields': repeated(() => `${'x'.repeat(99)}: 1\n`),
  'unknown values': repeated(() => 'input { data_type: TYPE_FOO }\n'),
  sizes: `input { dims: [${repeated(() => '1,')}`,
  groups: repeated(() => 'instance_group { }\n'),
  strings: `name: ${repeated(() => '"a" ')}`,
  escapes: `name: "${repeated(() => '\\101').slice(0, -16)}"`,
  parameters: repeated((i) => `parameters { key: "k${i}" value { string_value: "1" } }\n`),
  nesting: repeated(() => 'input {'),
  'unknown nesting': repeated(() => 'a {'),
};

/** A rejection is as good as an answer here: what matters is that there is one. */
function outcomeOf(text: string, form: ConfigText['form']): 'read' | 'refused' {
  try {
    parseModelConfig({ text, name: 'f', form }, 'm');
    return 'read';
  } catch (error) {
    if (!(error instanceof ModelConfigError)) throw error;
    // Each problem is a line of a log, and all of them are one answer.
    expect(error.message.length).toBeLessThan(20_000);
    return 'refused';
  }
}

/** Some take 60 ms, cold code included; a quadratic parser took seconds. */
const MAX_CPU_MS = 600;

describe.each([
  { form: 'request', texts: SENT },
  { form: 'yaml', texts: YAML },
  { form: 'pbtxt', texts: PBTXT },
] as const)('a configuration of the form $form costs no more than its length', ({ form, texts }) => {
  test.each(Object.entries(texts))('%s', (_, text) => {
    const before = process.cpuUsage();
    outcomeOf(text, form);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(MAX_CPU_MS);
  });
});

test('keys of YAML that stand twice are refused, each with its place', () => {
  expect(() => parseModelConfig({ text: 'a: 1\nb: 2\na: 3\n', name: 'f', form: 'yaml' }, 'm')).toThrow(
    /^f:3:1: Map keys must be unique$/,
  );
});

test('a file that is too long, or none, is refused unread', async () => {
  const directory = temporaryDirectory();
  const long = path.join(directory, 'config.yaml');
  fs.writeFileSync(long, '#'.repeat(1024 * 1024 + 1));
  await expect(readModelConfig(long, 'm')).rejects.toThrow(/config\.yaml cannot be read: it has 1048577 bytes/);
  const pipe = path.join(directory, 'config.pbtxt');
  await runProgram('mkfifo', [pipe]);
  await expect(readModelConfig(pipe, 'm')).rejects.toThrow(/config\.pbtxt cannot be read: it is no regular file/);
});

test('more instances than a process should have threads are refused', () => {
  const text = '{"instance_group":[{"count":1000000}]}';
  expect(() => parseModelConfig({ text, name: 'f', form: 'request' }, 'm')).toThrow(
    /asks for 1000000 instances; at most 1024 are made/,
  );
});

test('samples to warm up with that would fill the memory together are refused', () => {
  const inputs = { x: { data_type: 'TYPE_FP32', dims: [64 * 1024 * 1024], zero_data: true } };
  const text = (samples: number): string => JSON.stringify({ model_warmup: Array(samples).fill({ inputs }) });
  expect(() => parseModelConfig({ text: text(4), name: 'f', form: 'request' }, 'm')).not.toThrow();
  expect(() => parseModelConfig({ text: text(5), name: 'f', form: 'request' }, 'm')).toThrow(
    /rows of all samples have 335544320 elements; at most 268435456 are held/,
  );
});

describe("ONNX Runtime's entries that a client sends", () => {
  const read = (form: 'request' | 'pbtxt' | 'yaml', key: string, value: string): void => {
    const text = form === 'pbtxt' ? `parameters { key: "${key}" value { string_value: "${value}" } }` : undefined;
    parseModelConfig({ text: text ?? JSON.stringify({ parameters: { [key]: value } }), name: 'f', form }, 'm');
  };

  test.each([
    'session.load_model_format',
    'session.save_model_format',
    'session.optimized_model_filepath',
    'session.optimized_model_external_initializers_file_name',
    'session.model_external_initializers_file_folder_path',
    'session.node_partition_config_file',
    'session.collect_node_memory_stats_to_file',
    'session.enable_profiling',
    'session.use_ort_model_bytes_directly',
    'session.debug_layout_transformation',
    'session.custom_ops_library',
    'session.an_entry_of_a_later_version',
    'ep.context_enable',
    'ep.context_file_path',
    'ep.anything',
  ])('%s is refused and named, and stays the operator’s', (key) => {
    expect(() => read('request', key, '1')).toThrow(`parameters.${key} is not taken from clients`);
    expect(() => read('pbtxt', key, '1')).not.toThrow();
    expect(() => read('yaml', key, '1')).not.toThrow();
  });

  test.each([
    ['session.set_denormal_as_zero', '1'],
    ['session.intra_op.allow_spinning', '0'],
    ['session.dynamic_block_base', '4'],
    ['session.graph_optimizations_loop_level', '2'],
    ['intra_op_thread_count', '2'],
    ['a parameter of another backend', 'x'],
  ])('%s may be set', (key, value) => {
    expect(() => read('request', key, value)).not.toThrow();
  });

  test.each([
    ['session.qdqisint8allowed', 'zzz', /qdqisint8allowed: expected 0 or 1, got 'zzz'/],
    ['session.dynamic_block_base', '-1', /dynamic_block_base: expected a whole number, got '-1'/],
    ['intra_op_thread_count', '4096', /expected an integer from 0 to 1024/],
  ])('%s takes no %s', (key, value, problem) => {
    expect(() => read('request', key, value)).toThrow(problem);
  });
});
