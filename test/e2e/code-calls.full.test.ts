/** Models that are code and call other models of their server. */

import { describe, expect, test } from 'vitest';
import { type InferenceError, tensor } from '../../src/client/inference-client.ts';
import { codeModel, useCodeServer } from '../support/code-models.ts';
import { additionModel } from '../support/onnx-models.ts';

/** One process for all of them: the test starts sooner. */
const TRIPLES = {
  tensorgate: { runner: 'code' },
  input: [{ name: 'x', data_type: 'TYPE_FP32', dims: [3] }],
  output: [{ name: 'y', data_type: 'TYPE_FP32', dims: [3] }],
};
const TEXT = { ...TRIPLES, output: [{ name: 'y', data_type: 'TYPE_STRING', dims: [1] }] };

/** Asks the ONNX model. */
const ADD = `const add = async (context, data, options) =>
  (await context.infer('add', { input: { datatype: 'FP32', shape: [3, 1], data } }, options)).output.data;`;
/** Forwards a request to another code model. */
const forwarding = (model: string): string =>
  `export const infer = async ([{ x }], context) => [{ y: (await context.infer('${model}', { x })).y.data }];`;
/** Answers how a call failed. */
const reporting = (call: string): string => `${ADD}
export async function infer([{ x }], context) {
  try { await ${call}; return [{ y: ['answered'] }]; }
  catch (error) { return [{ y: [[error.status, error.reason, error.message].join('|')] }]; }
}`;

const MODELS = {
  add: { versions: { 1: additionModel(1), 2: additionModel(10) }, config: { max_batch_size: 4 } },
  twice: codeModel(
    `${ADD}
     export async function infer([{ x }], context) {
       const once = await add(context, x.data, { version: '1' });
       return [{ y: await add(context, once, { version: '2' }) }];
     }`,
    TRIPLES,
  ),
  beside: codeModel(
    `${ADD}
     export async function infer([{ x }], context) {
       const all = await Promise.all([1, 2, 1].map((version) => add(context, x.data, { version: String(version) })));
       return [{ y: all.map(([first]) => first) }];
     }`,
    TRIPLES,
  ),
  busy: codeModel(
    `export function infer([{ x }]) {
       for (const end = performance.now() + 2_500; performance.now() < end; );
       return [{ y: x.data }];
     }`,
    TRIPLES,
  ),
  patient: codeModel(forwarding('busy'), TRIPLES),
  itself: codeModel(forwarding('itself'), TRIPLES),
  through: {
    versions: { 1: undefined },
    config: {
      platform: 'ensemble',
      input: TRIPLES.input,
      output: TRIPLES.output,
      max_batch_size: 0,
      ensemble_scheduling: {
        step: [{ model_name: 'ping', model_version: -1, input_map: { x: 'x' }, output_map: { y: 'y' } }],
      },
    },
  },
  ping: codeModel(forwarding('pong'), TRIPLES),
  pong: codeModel(
    `export const infer = async ([{ x }], context) => [{ y: x.data[0] === 1 ? (await context.infer('through', { x })).y.data : x.data }];`,
    TRIPLES,
  ),
  misshapen: codeModel(
    reporting("context.infer('add', { input: { datatype: 'FP32', shape: [1, 2], data: new Float32Array(2) } })"),
    TEXT,
  ),
  lost: codeModel(reporting("context.infer('nowhere', { x })"), TEXT),
  late: codeModel(
    "export const infer = async ([{ x }], { infer }) => [{ y: (await infer('busy', { x }, { deadlineMs: 100 })).y.data }];",
    TRIPLES,
  ),
  hasty: codeModel(reporting("context.infer('busy', { x }, { deadlineMs: 100 })"), TEXT),
  watching: codeModel(
    `let aborted = 'no';
     export async function infer([{ x }], { signal }) {
       if (x.data[0] === 0) return [{ y: [aborted] }];
       await new Promise((done) => signal.addEventListener('abort', done));
       aborted = 'yes';
       return [{ y: [aborted] }];
     }`,
    TEXT,
  ),
  careless: codeModel(
    `${ADD}
     let late;
     export async function infer([{ x }], context) {
       const before = late;
       late = add(context, x.data).then(() => 'answered', (error) => error.message);
       return [{ y: [String(await before)] }];
     }`,
    TEXT,
  ),
};

const triple = (first: number) => ({ x: tensor.fp32([first, 2, 3], [3]) });

describe('models that are code and call others', () => {
  const running = useCodeServer(MODELS);

  const valuesOf = async (model: string, first: number): Promise<number[]> => [
    ...(await running.client.infer(model, triple(first))).output('y', 'FP32').data,
  ];
  const textOf = async (model: string, first = 1): Promise<string | undefined> =>
    (await running.client.infer(model, triple(first))).output('y', 'BYTES').strings()[0];
  const failureOf = async (model: string, deadlineMs = 60_000): Promise<InferenceError> =>
    running.client.infer(model, triple(1), { deadlineMs }).then(
      () => expect.unreachable(`${model} answered`),
      (error: InferenceError) => error,
    );
  const countOf = async (model: string): Promise<number> => {
    const all = await running.client.modelStatistics(model);
    return all.reduce((sum, { inferenceCount }) => sum + Number(inferenceCount), 0);
  };

  test('get the answers of the versions that they name, and count in their statistics', async () => {
    const before = await countOf('add');
    expect(await valuesOf('twice', 1)).toEqual([12, 13, 14]);
    expect(await countOf('add')).toBe(before + 6);
  });

  test('call several models at a time', async () => {
    expect(await valuesOf('beside', 1)).toEqual([2, 11, 2]);
  });

  test('answer many callers with one instance each', async () => {
    const firsts = Array.from({ length: 24 }, (_, at) => at);
    const answers = await Promise.all(firsts.map((first) => valuesOf('twice', first)));
    expect(answers.map(([value]) => value)).toEqual(firsts.map((first) => first + 11));
  });

  test('may wait for a model for longer than a run may be idle', async () => {
    expect(await valuesOf('patient', 5)).toEqual([5, 2, 3]);
  }, 60_000);

  test('see the status and the reason of a call that fails', async () => {
    expect(await textOf('misshapen')).toMatch(/^INVALID_ARGUMENT\|invalid_request\|.*\[1,2\]/);
    expect(await textOf('lost')).toMatch(/^NOT_FOUND\|model_not_found\|.*nowhere/);
    expect(await textOf('hasty')).toMatch(/^(DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED)\|/);
  });

  test('pass on that a call had too little time, where they do not catch it', async () => {
    expect(await failureOf('late')).toMatchObject({
      status: expect.stringMatching(/^(DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED)$/),
      details: expect.stringMatching(/^a call of the model to another model failed: /),
    });
  });

  test('must not call themselves', async () => {
    expect(await failureOf('itself')).toMatchObject({
      status: 'INTERNAL',
      details: expect.stringContaining('code models must not call each other in a circle: itself:1 -> itself:1'),
    });
  });

  test('must not call each other in a circle, also through an ensemble', async () => {
    expect(await valuesOf('ping', 2)).toEqual([2, 2, 3]);
    expect(await failureOf('ping')).toMatchObject({
      details: expect.stringContaining('in a circle: pong:1 -> ping:1 -> pong:1'),
    });
    expect(await valuesOf('ping', 2)).toEqual([2, 2, 3]);
  });

  test('notice when no caller waits any more', async () => {
    expect(await failureOf('watching', 300)).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
    expect(await textOf('watching', 0)).toBe('yes');
  });

  test('lose the calls that they leave behind', async () => {
    expect(await textOf('careless')).toBe('undefined');
    expect(await textOf('careless')).toBe('the run has ended');
  });
});
