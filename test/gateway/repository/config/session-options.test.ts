import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { MODEL_CONFIG } from '../../../../src/gateway/repository/config/model-config.ts';
import {
  CLIENT_ENTRY_NAMES,
  isKnownParameter,
  parameterProblem,
  sessionOptions,
} from '../../../../src/gateway/repository/config/session-options.ts';
import type { SessionOptions } from '../../../../src/worker/protocol.ts';

function options(parameters: Readonly<Record<string, string>>, level?: number): SessionOptions {
  const optimization = level === undefined ? {} : { optimization: { graph: { level } } };
  return sessionOptions(MODEL_CONFIG.parse({ parameters, ...optimization }));
}

test('the defaults leave the cores to the instances: one thread each, which does not spin', () => {
  expect(options({})).toEqual({
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    enableCpuMemArena: true,
    enableMemPattern: true,
    extra: { 'session.intra_op.allow_spinning': '0', 'session.inter_op.allow_spinning': '0' },
  });
});

test("Triton's names reach the session", () => {
  const given = {
    intra_op_thread_count: '4',
    inter_op_thread_count: '0',
    execution_mode: '1',
    enable_mem_arena: '0',
    enable_mem_pattern: '0',
  };
  expect(options(given)).toMatchObject({
    intraOpNumThreads: 4,
    interOpNumThreads: 0,
    executionMode: 'parallel',
    enableCpuMemArena: false,
    enableMemPattern: false,
  });
});

test.each([
  [-1, 'basic'],
  [0, 'all'],
  [1, 'extended'],
  [2, 'disabled'],
] as const)("Triton's graph level %d is ONNX Runtime's %s", (level, expected) => {
  expect(options({}, level).graphOptimizationLevel).toBe(expected);
});

test('entries of session.* and ep.* are handed through, over the defaults', () => {
  const given = { 'session.intra_op.allow_spinning': '1', 'session.disable_quant_qdq': '1', 'ep.cuda.x': 'y' };
  expect(options(given).extra).toEqual({ 'session.inter_op.allow_spinning': '0', ...given });
});

test.each([
  'intra_op_threads',
  'memory.enable_memory_arena_shrinkage',
  'cudnn_conv_algo_search',
  '__proto__',
  'toString',
])('an option that the binding would drop without a word is not known: %s', (key) => {
  expect(isKnownParameter(key)).toBe(false);
});

test.each(['intra_op_thread_count', 'session.disable_quant_qdq', 'ep.cuda.x', 'batching', 'execution_provider'])(
  'what reaches the session, or is reported by the server itself, is known: %s',
  (key) => {
    expect(isKnownParameter(key)).toBe(true);
  },
);

test.each([
  { key: 'intra_op_thread_count', value: '-1', max: 1_024 },
  { key: 'intra_op_thread_count', value: '1.5', max: 1_024 },
  { key: 'intra_op_thread_count', value: '', max: 1_024 },
  { key: 'inter_op_thread_count', value: '1025', max: 1_024 },
  { key: 'execution_mode', value: 'parallel', max: 1 },
  { key: 'enable_mem_arena', value: 'true', max: 1 },
])("a value that is none is a problem: $key '$value'", ({ key, value, max }) => {
  expect(parameterProblem(key, value)).toBe(`parameters.${key}: expected an integer from 0 to ${max}, got '${value}'`);
});

test.each([
  { key: 'intra_op_thread_count', value: '1024' },
  { key: 'enable_mem_arena', value: '0' },
  { key: 'session.x', value: 'anything' },
])("a value that is one is none: $key '$value'", ({ key, value }) => {
  expect(parameterProblem(key, value)).toBeUndefined();
});

test('docs/models.md lists each entry that a client may set', () => {
  const page = fs.readFileSync(path.join(import.meta.dirname, '../../../../docs/models.md'), 'utf8');
  expect(CLIENT_ENTRY_NAMES.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});
