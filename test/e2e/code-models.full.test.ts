/** Models that are code, as clients see them: rows in, rows out, and what becomes of code that fails. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type InferenceClient, type InferenceError, tensor } from '../../src/client/inference-client.ts';
import { codeModel, PAIRS, useCodeServer } from '../support/code-models.ts';
import type { ModelFiles } from '../support/repository.ts';

/** One process for all models that leave it alive: the test starts sooner. */
const SHARED = { ...PAIRS, tensorgate: { runner: 'code' } };
const BATCHED = { ...SHARED, max_batch_size: 8 };
/** Two requests of one row are one batch. */
const JOINED = {
  ...BATCHED,
  dynamic_batching: { preferred_batch_size: [2], max_queue_delay_microseconds: 5_000_000 },
};
const TEXTS = {
  ...SHARED,
  max_batch_size: 4,
  input: [{ name: 'text', data_type: 'TYPE_STRING', dims: [1] }],
  output: [
    { name: 'words', data_type: 'TYPE_STRING', dims: [-1] },
    { name: 'length', data_type: 'TYPE_INT64', dims: [1] },
  ],
};
const WORDS = `export function infer(rows: Row[]): object[] {
  return rows.map(({ text }) => ({ words: text.data[0].split(' '), length: [BigInt(text.data[0].length)] }));
}
type Row = Record<string, { data: string[] }>;`;

const PAGE = fs.readFileSync(path.join(import.meta.dirname, '../../docs/code-models.md'), 'utf8');
const printed = (language: string): string =>
  new RegExp(`\`\`\`${language}\\n([\\s\\S]+?)\`\`\``).exec(PAGE)?.[1] ?? '';

const MODELS: Readonly<Record<string, ModelFiles>> = {
  word_count: {
    versions: { 1: undefined },
    files: { 'config.yaml': printed('yaml'), '1/model.mjs': printed('js') },
  },
  double: codeModel('export const infer = (rows) => rows.map(({ x }) => ({ y: x.data.map((v) => 2 * v) }));', JOINED),
  count: codeModel('export const infer = (rows) => rows.map(() => ({ y: [rows.length, 0] }));', JOINED),
  words: codeModel(WORDS, TEXTS, 'model.ts'),
  greeting: codeModel(
    `let text;
     export async function load({ name, version, parameters }) { text = [name, version, parameters.who].join(' '); }
     export const infer = (rows) => rows.map(() => ({ y: [text] }));`,
    { ...SHARED, output: [{ name: 'y', data_type: 'TYPE_STRING', dims: [1] }], parameters: { who: 'world' } },
  ),
  picky: codeModel(
    `export function infer(rows, context) {
       if (rows.some(({ x }) => x.data[0] < 0)) throw context.invalidInput('x is below 0');
       if (rows.some(({ x }) => x.data[0] === 0)) throw new Error('x is zero');
       return rows.map(({ x }) => ({ y: x.data }));
     }`,
    JOINED,
  ),
  unnamed: codeModel('export const infer = (rows) => rows.map(({ x }) => ({ z: x.data }));', SHARED),
  longer: codeModel('export const infer = (rows) => rows.map(() => ({ y: [1, 2, 3] }));', SHARED),
  double_precision: codeModel('export const infer = (rows) => rows.map(() => ({ y: new Float64Array(2) }));', SHARED),
  fewer: codeModel('export const infer = () => [];', SHARED),
  leaving: codeModel(
    'export function infer(rows) { if (rows[0].x.data[0] === 1) process.exit(3); return rows.map(({ x }) => ({ y: x.data })); }',
  ),
  looping: codeModel(
    'export function infer(rows) { while (rows[0].x.data[0] === 1); return rows.map(({ x }) => ({ y: x.data })); }',
    { ...PAIRS, tensorgate: { max_run_ms: 500 } },
  ),
  waiting: codeModel(
    'export async function infer(rows) { if (rows[0].x.data[0] === 1) await new Promise(() => {}); return rows.map(({ x }) => ({ y: x.data })); }',
    { ...PAIRS, tensorgate: { max_run_ms: 500 } },
  ),
  patient: codeModel(
    `import { setTimeout } from 'node:timers/promises';
     export async function infer(rows) { await setTimeout(3_000); return rows.map(({ x }) => ({ y: x.data })); }`,
  ),
  hungry: codeModel(
    `const kept = [];
     export function infer(rows) {
       while (rows[0].x.data[0] === 1) kept.push(Array.from({ length: 10_000 }, (_, at) => ({ at })));
       return rows.map(({ x }) => ({ y: x.data }));
     }`,
    { ...PAIRS, tensorgate: { javascript: { max_heap_mb: 32 } } },
  ),
  silent: codeModel('export const other = 1;', SHARED),
  broken: codeModel('export const infer = ;', SHARED),
  failing: codeModel("export const infer = () => []; export function load() { throw new Error('no key') }", SHARED),
};

const pair = (first: number, second = 7) => ({ x: tensor.fp32([first, second], [2]) });
const row = (first: number, second = 7) => ({ x: tensor.fp32([first, second], [1, 2]) });

describe('models that are code', () => {
  const running = useCodeServer(MODELS, [
    '--model-control-mode',
    'explicit',
    '--load-model',
    '*',
    '--allow-model-upload',
  ]);

  const valuesOf = async (model: string, inputs: Parameters<InferenceClient['infer']>[1]): Promise<number[]> => [
    ...(await running.client.infer(model, inputs)).output('y', 'FP32').data,
  ];
  const failureOf = async (model: string, inputs: Parameters<InferenceClient['infer']>[1]): Promise<InferenceError> =>
    running.client.infer(model, inputs).then(
      () => expect.unreachable(`${model} answered`),
      (error: InferenceError) => error,
    );
  const reasonOf = async (name: string): Promise<string | undefined> => {
    const index = await running.client.repositoryIndex();
    return index.find((model) => model.name === name)?.reason;
  };

  test('answer the rows of several requests in one call', async () => {
    expect(await Promise.all([valuesOf('double', row(1)), valuesOf('double', row(2))])).toEqual([
      [2, 14],
      [4, 14],
    ]);
    expect(await Promise.all([valuesOf('count', row(1)), valuesOf('count', row(2))])).toEqual([
      [2, 0],
      [2, 0],
    ]);
  });

  test('are written in TypeScript, take texts, and give shapes that depend on them', async () => {
    const result = await running.client.infer('words', { text: tensor.bytes(['rows in rows out'], [1, 1]) });
    expect(result.output('words', 'BYTES').strings()).toEqual(['rows', 'in', 'rows', 'out']);
    expect(result.output('words', 'BYTES').shape).toEqual([1, 4]);
    expect([...result.output('length', 'INT64').data]).toEqual([16n]);
  });

  test('fail a request whose rows have outputs of unlike shapes, and say what to set', async () => {
    const failure = await failureOf('words', { text: tensor.bytes(['one', 'one two'], [2, 1]) });
    expect(failure).toMatchObject({
      status: 'INTERNAL',
      details: expect.stringContaining(
        "output 'words' has the shape [1] in row 0 and [2] in row 1: rows of a batch have equal shapes; set max_batch_size: 0",
      ),
    });
  });

  test('run the first example of their page', async () => {
    const [, json = ''] = /word_count\/infer -d '(.+)'/.exec(PAGE) ?? [];
    const response = await fetch(`${running.server.http}/v2/models/word_count/infer`, { method: 'POST', body: json });
    expect(await response.json()).toMatchObject({ outputs: [{ name: 'words', data: [3] }] });
  });

  test('load with their name, version and parameters', async () => {
    expect((await running.client.infer('greeting', pair(1))).output('y', 'BYTES').strings()).toEqual([
      'greeting 1 world',
    ]);
  });

  test('fail only the request of a batch for which they throw', async () => {
    const [answer, failure] = await Promise.all([valuesOf('picky', row(1)), failureOf('picky', row(0))]);
    expect(answer).toEqual([1, 7]);
    expect(failure).toMatchObject({ status: 'INTERNAL', details: 'the code of the model failed: x is zero' });
  });

  test('refuse a request by an error that blames its input', async () => {
    const [answer, failure] = await Promise.all([valuesOf('picky', row(1)), failureOf('picky', row(-1))]);
    expect(answer).toEqual([1, 7]);
    expect(failure).toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: 'the model refused this input: x is below 0',
    });
  });

  test.each([
    { model: 'unnamed', text: "row 0 has no output 'y', expected 'y'" },
    { model: 'longer', text: "output 'y' of row 0 has 3 elements, expected FP32 [2]" },
    { model: 'double_precision', text: "output 'y' of row 0 is Float64Array, expected Float32Array for FP32" },
    { model: 'fewer', text: 'infer gave 0 rows, expected 1' },
  ])('that give other outputs than declared say which: $model', async ({ model, text }) => {
    expect(await failureOf(model, pair(1))).toMatchObject({
      status: 'INTERNAL',
      details: `the code of the model failed: ${text}`,
    });
  });

  test.concurrent.each(['leaving', 'hungry'])(
    'that end fail the request that causes it, and serve on: %s',
    async (model) => {
      expect(await failureOf(model, pair(1))).toMatchObject({ status: 'INTERNAL' });
      expect(await valuesOf(model, pair(2))).toEqual([2, 7]);
    },
    60_000,
  );

  test.each(['looping', 'waiting'])('are ended after max_run_ms, and serve on: %s', async (model) => {
    expect(await failureOf(model, pair(1))).toMatchObject({
      status: 'RESOURCE_EXHAUSTED',
      details: expect.stringContaining('tensorgate.max_run_ms'),
    });
    expect(await valuesOf(model, pair(2))).toEqual([2, 7]);
  });

  test('may wait for something outside for longer than a thread may stand still', async () => {
    expect(await valuesOf('patient', pair(1))).toEqual([1, 7]);
  });

  test.each([
    { model: 'silent', reason: /model\.mjs exports no function infer\(rows, context\)$/ },
    { model: 'broken', reason: /model\.mjs cannot be imported: Unexpected token/ },
    { model: 'failing', reason: /load of \S+model\.mjs failed: no key$/ },
  ])('that cannot be loaded say why: $model', async ({ model, reason }) => {
    expect(await reasonOf(model)).toMatch(reason);
  });

  test('are described as models of their platform', async () => {
    const metadata = await running.client.modelMetadata('double');
    expect(metadata).toMatchObject({
      platform: 'tensorgate_javascript',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    });
  });

  test('are not taken from clients, as files of other models are', async () => {
    const config = JSON.stringify(codeModel('').config);
    const parameters = { config, 'file:1/model.mjs': Buffer.from('export const infer = () => []').toString('base64') };
    const response = await fetch(`${running.server.http}/v2/repository/models/sent/load`, {
      method: 'POST',
      body: JSON.stringify({ parameters }),
    });
    expect(response.ok).toBe(false);
    expect(await response.text()).toContain(
      'the code of a model is not taken from clients: put it into the model repository',
    );
  });

  test('report in the log why they failed or ended', async () => {
    await running.server.stop();
    const log = await running.server.log;
    expect(log).toMatch(/runner code: Error: x is zero/);
    expect(log).toMatch(/runner hungry:1: .*memory limit/);
  });
});
