import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ModelConfig, ModelConfigError, readModelConfig } from '../../../src/gateway/repository/model-config.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

function written(text: string, name = 'config.yaml'): string {
  const file = path.join(temporaryDirectory(), name);
  fs.writeFileSync(file, text);
  return file;
}

function read(text: string, name?: string): ModelConfig {
  return readModelConfig(written(text, name), 'm');
}

/** What is wrong, without the directory. */
function problemOf(text: string, name?: string): string {
  const file = written(text, name);
  try {
    readModelConfig(file, 'm');
  } catch (error) {
    if (error instanceof ModelConfigError) return error.message.replaceAll(`${path.dirname(file)}${path.sep}`, '');
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('defaults', () => {
  test('without a file', () => {
    expect(readModelConfig(undefined, 'm')).toMatchObject({
      default_model_filename: 'model.onnx',
      version_policy: { all: {} },
      instance_group: [],
      parameters: {},
      dynamic_batching: {
        max_queue_delay_microseconds: 0,
        preferred_batch_size: [],
        default_queue_policy: { default_timeout_microseconds: 0 },
      },
      tensorgate: { row_independence: 'verify', max_run_ms: 60_000 },
    });
  });

  test.each(['', '# nothing but a comment\n', '{}'])("with an empty file: '%s'", (text) => {
    expect(read(text)).toEqual(readModelConfig(undefined, 'm'));
  });

  test('of a section of which only one field is given', () => {
    expect(read('dynamic_batching: { max_queue_delay_microseconds: 100 }').dynamic_batching).toMatchObject({
      max_queue_delay_microseconds: 100,
      preferred_batch_size: [],
      default_queue_policy: { default_timeout_microseconds: 0 },
    });
  });
});

describe('forms', () => {
  test('JSON is read as it is', () => {
    const text = JSON.stringify({ max_batch_size: 4, version_policy: { specific: { versions: [1] } } }, undefined, 2);
    expect(read(text, 'config.json')).toMatchObject({
      max_batch_size: 4,
      version_policy: { specific: { versions: [1] } },
    });
  });

  test("parameters may be written Triton's way, or plainly", () => {
    const text = `
parameters:
  intra_op_thread_count: { string_value: "2" }
  inter_op_thread_count: 3
  session.disable_quant_qdq: "1"
  enable_mem_arena: 0
`;
    expect(read(text).parameters).toEqual({
      intra_op_thread_count: '2',
      inter_op_thread_count: '3',
      'session.disable_quant_qdq': '1',
      enable_mem_arena: '0',
    });
  });

  test('the newest versions are one where their number is not said', () => {
    expect(read('version_policy: { latest: {} }').version_policy).toEqual({ latest: { num_versions: 1 } });
  });

  test('instance groups', () => {
    expect(read('instance_group: [{ count: 2, kind: KIND_CPU }, { gpus: [0, 1] }]').instance_group).toEqual([
      { count: 2, kind: 'KIND_CPU', gpus: [] },
      { kind: 'KIND_AUTO', gpus: [0, 1] },
    ]);
  });
});

describe('what is refused says where, and what is near', () => {
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
      problem: /^config\.yaml:3:\d+: input\.0\.shape: Unrecognized key: "shape"; known are name, data_type, dims$/,
    },
    {
      name: 'a field that Triton has and we do not',
      text: 'model_operations: {}\n',
      problem: /^config\.yaml:1:\d+: model_operations: Unrecognized key/,
    },
    {
      name: 'a text where a number is wanted',
      text: 'max_batch_size: many\n',
      problem: /^config\.yaml:1:17: max_batch_size: .*expected (number|int)/,
    },
    {
      name: 'a number that is too small',
      text: 'instance_group:\n- count: 0\n',
      problem: /^config\.yaml:2:10: instance_group\.0\.count: .*>=1/,
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
      problem: /default_model_filename: expected a file name without directories$/,
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
  ])('$name', ({ text, problem, file }) => {
    if (typeof problem === 'string') expect(problemOf(text, file)).toBe(problem);
    else expect(problemOf(text, file)).toMatch(problem);
  });

  test('several problems are told at once', () => {
    expect(problemOf('max_batch_size: -1\nbackend: python\n').split('; ')).toHaveLength(2);
  });

  test('a name that is not the directory, with both', () => {
    expect(problemOf('name: other')).toBe("config.yaml: name is 'other', but the directory is 'm': they must be equal");
    expect(read('name: m').name).toBe('m');
  });

  test('a key that every object has is no known key', () => {
    expect(problemOf('toString: 1')).toContain('Unrecognized key');
    expect(problemOf('constructor: 1')).toContain('Unrecognized key');
  });
});
