/** Decoupled models: any number of answers to a request of a stream. */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { tensor } from '../../src/client/inference-client.ts';
import { codeModel, useCodeServer } from '../support/code-models.ts';

const COUNT = {
  tensorgate: { runner: 'code' },
  input: [{ name: 'n', data_type: 'TYPE_INT32', dims: [1] }],
  output: [{ name: 'at', data_type: 'TYPE_INT32', dims: [1] }],
};
const DECOUPLED = { ...COUNT, model_transaction_policy: { decoupled: true } };

const MODELS = {
  generate: codeModel(
    'export async function* infer([{ n }]) { for (let at = 0; at < n.data[0]; at++) yield { at: [at] }; }',
    DECOUPLED,
  ),
  send: codeModel(
    'export async function infer([{ n }], { send }) { for (let at = 0; at < n.data[0]; at++) await send({ at: [at] }); }',
    DECOUPLED,
  ),
  breaking: codeModel("export function* infer() { yield { at: [0] }; throw new Error('no more'); }", DECOUPLED),
  misshapen: codeModel('export function* infer() { yield { at: [0] }; yield { at: [1, 2] }; }', DECOUPLED),
  leaving: codeModel(
    'export async function* infer() { yield { at: [0] }; process.exit(1); }',
    // A process of its own: its end ends no other model.
    { ...DECOUPLED, tensorgate: {} },
  ),
  endless: codeModel(
    `let stopped = 0;
     export async function* infer([{ n }]) {
       if (n.data[0] === 0) { yield { at: [stopped] }; return; }
       try { for (let at = 0; ; at++) yield { at: [at] }; } finally { stopped++; }
     }`,
    DECOUPLED,
  ),
  calling: codeModel("export const infer = async ([{ n }], { infer }) => [await infer('generate', { n })];", COUNT),
};

const count = (n: number) => ({ n: tensor.int32([n], [1]) });

describe('decoupled models', () => {
  const running = useCodeServer(MODELS);

  /** The values of all answers on a stream, or texts of errors. */
  async function streamed(...asked: readonly [model: string, n: number][]): Promise<(number | string)[]> {
    const requests = asked.map(([model, n], at) => ({ model, id: String(at), inputs: count(n) }));
    const values: (number | string)[] = [];
    for await (const answer of running.client.stream(requests)) {
      if (answer.kind === 'error') values.push(answer.error.details);
      else values.push(...answer.result.output('at', 'INT32').data);
    }
    return values;
  }

  test.each(['generate', 'send'])('give as many answers as they like, by %s', async (model) => {
    expect(await streamed([model, 3], [model, 0], [model, 2])).toEqual([0, 1, 2, 0, 1]);
  });

  test('end with an error in the stream, and the stream goes on', async () => {
    expect(await streamed(['breaking', 1], ['misshapen', 1], ['generate', 1])).toEqual([
      0,
      'the code of the model failed: no more',
      0,
      "the code of the model failed: output 'at' of row 0 has 2 elements, expected INT32 [1]",
      0,
    ]);
  });

  test('are not run again when their process ends behind an answer', async () => {
    expect(await streamed(['leaving', 1])).toEqual([
      0,
      "the model's process ended after it had given answers to this request",
    ]);
  });

  test('are stopped when their caller goes, which may have read less than they sent', async () => {
    let read = 0;
    for await (const answer of running.client.stream([{ model: 'endless', id: 'x', inputs: count(1) }])) {
      if (answer.kind === 'result' && ++read === 100) break;
    }
    expect(read).toBe(100);
    let stopped = 0;
    for (; stopped === 0; await sleep(50)) stopped = Number((await streamed(['endless', 0]))[0]);
    expect(stopped).toBe(1);
  });

  test('are refused where a call takes one answer: over gRPC, over REST, and by code', async () => {
    const text = "ModelInfer RPC doesn't support models with decoupled transaction policy";
    await expect(running.client.infer('generate', count(1))).rejects.toMatchObject({
      status: 'UNIMPLEMENTED',
      details: text,
    });
    const response = await fetch(`${running.server.http}/v2/models/generate/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: [{ name: 'n', datatype: 'INT32', shape: [1], data: [1] }] }),
    });
    expect(await response.json()).toMatchObject({ error: text });
    await expect(running.client.infer('calling', count(1))).rejects.toThrow(text);
  });
});
