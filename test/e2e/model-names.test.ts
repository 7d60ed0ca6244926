/** Names that every JavaScript object has, as names of models, tensors, parameters and labels: names like any others. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linkModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import type { Message } from '../support/stock-client.ts';

/** Whatever an object inherits. */
const INHERITED = [
  'constructor',
  'toString',
  'valueOf',
  'hasOwnProperty',
  'isPrototypeOf',
  '__defineGetter__',
] as const;
const [FIRST] = INHERITED;
/** ONNX Runtime's binding keeps outputs in plain objects, which have no such key of their own. */
const INPUTS = [...INHERITED, '__proto__'];

const fixture = useServer({
  // Inputs and outputs have the same names, each output is another input.
  constructor: linkModelOf(INHERITED.map((name, index) => [`${name}.out`, INPUTS[index + 1] ?? FIRST])),
  toString: linkModelOf([
    ['constructor', 'valueOf'],
    ['toString', '__proto__'],
  ]),
  valueOf: {
    versions: { 1: linkModel(new Map([['hasOwnProperty', 'x']])), 2: linkModel(new Map([['hasOwnProperty', 'x']])) },
    config: {
      output: [{ name: 'hasOwnProperty', label_filename: 'constructor' }],
      tensorgate: { labels: { constructor: 1, toString: 2 }, probe_values: { x: 1 } },
      parameters: { 'session.constructor': '1' },
    },
    files: { constructor: 'a\nb\nc\n' },
  },
  bound: {
    versions: { 1: linkModel(new Map([['y', '__proto__']])) },
    config: {
      max_batch_size: 4,
      tensorgate: JSON.parse('{"batch_axes": {"__proto__": 0}, "probe_values": {"__proto__": 3}}'),
      model_warmup: [
        {
          name: 'w',
          batch_size: 2,
          inputs: JSON.parse('{"__proto__": {"data_type": "TYPE_FP32", "dims": [3], "zero_data": true}}'),
        },
      ],
    },
  },
});

function linkModelOf(pairs: readonly (readonly [string, string])[]): Uint8Array {
  return linkModel(new Map(pairs));
}

function input(name: string, values: readonly number[]): Message {
  return { name, datatype: 'FP32', shape: [1, 3], contents: { fp32_contents: values } };
}

async function rest(path: string, body?: object): Promise<{ readonly status: number; readonly json: Message }> {
  const init = body && { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(`${fixture.server.http}${path}`, init);
  return { status: response.status, json: (await response.json()) as Message };
}

function restInput(name: string, data: readonly number[]): object {
  return { name, datatype: 'FP32', shape: [1, 3], data };
}

describe('a model of such names', () => {
  test.each(['constructor', 'toString', 'valueOf', 'bound'])(
    '%s is READY, with metadata and statistics',
    async (name) => {
      expect(await fixture.client.call('ModelReady', { name })).toMatchObject({ ready: true });
      const { inputs } = await fixture.client.call('ModelMetadata', { name });
      const { json } = await rest(`/v2/models/${name}`);
      expect(json['inputs'].map((each: Message) => each['name'])).toEqual(inputs.map((each: Message) => each['name']));
      expect((await rest(`/v2/models/${name}/ready`)).status).toBe(200);
      expect((await rest(`/v2/models/${name}/config`)).json).toMatchObject({ name });
      expect((await rest(`/v2/models/${name}/stats`)).json['model_stats'][0]).toMatchObject({ name });
    },
  );

  test('answers over gRPC and REST what its graph says, whatever the order of its inputs', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(INPUTS, { minLength: INPUTS.length }),
        fc.boolean(),
        async (order, isRest) => {
          // The output of each name is the input of the next.
          const names = order.filter((name) => INHERITED.some((_, index) => (INPUTS[index + 1] ?? FIRST) === name));
          const value = (name: string): number[] => [INPUTS.indexOf(name), 0, 1];
          const outputs: readonly Message[] = isRest
            ? (
                await rest('/v2/models/constructor/infer', {
                  inputs: names.map((name) => restInput(name, value(name))),
                })
              ).json['outputs']
            : (
                await fixture.client.infer({
                  model_name: 'constructor',
                  inputs: names.map((name) => input(name, value(name))),
                })
              )['outputs'];
          for (const [index, name] of INHERITED.entries()) {
            const output = outputs.find((each) => each['name'] === `${name}.out`);
            const data = isRest ? output?.['data'] : output?.['contents']['fp32_contents'];
            expect(data).toEqual(value(INPUTS[index + 1] ?? FIRST));
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  test('has outputs of such names', async () => {
    const { outputs } = await fixture.client.infer({
      model_name: 'toString',
      inputs: [input('valueOf', [1, 2, 3]), input('__proto__', [4, 5, 6])],
      outputs: [{ name: 'toString' }, { name: 'constructor' }],
    });
    const byName = new Map(outputs.map((output: Message) => [output['name'], output['contents']['fp32_contents']]));
    expect(byName).toEqual(
      new Map([
        ['constructor', [1, 2, 3]],
        ['toString', [4, 5, 6]],
      ]),
    );
  });

  test('is asked for by labels of such names, and classifies', async () => {
    for (const [label, version] of [
      ['constructor', '1'],
      ['toString', '2'],
    ]) {
      const answer = await fixture.client.infer({
        model_name: 'valueOf',
        model_version: label,
        inputs: [input('x', [1, 5, 2])],
        outputs: [{ name: 'hasOwnProperty', parameters: { classification: { int64_param: '1' } } }],
      });
      expect(answer).toMatchObject({ model_version: version });
      expect(String(answer['outputs'][0].contents.bytes_contents[0])).toMatch(/:1:b$/);
    }
    expect(
      await fixture.client.refusal('ModelInfer', { model_name: 'valueOf', model_version: 'valueOf' }),
    ).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});

describe('such a name is refused where there is nothing of it', () => {
  test.each(['hasOwnProperty', '__proto__', 'isPrototypeOf'])(
    '%s is an unknown model, input, output and parameter',
    async (name) => {
      expect(await fixture.client.refusal('ModelInfer', { model_name: name })).toMatchObject({ code: 'NOT_FOUND' });
      expect((await rest(`/v2/models/${name}`)).status).toBe(404);
      expect((await rest(`/v2/models/${name}/ready`)).status).toBe(404);
      const inputs = [input('x', [1, 2, 3]), input(name, [1, 2, 3])];
      expect(await fixture.client.refusal('ModelInfer', { model_name: 'valueOf', inputs })).toMatchObject({
        code: 'INVALID_ARGUMENT',
        text: expect.stringContaining(`'${name}'`),
      });
      const parameters = JSON.parse(`{"${name}": {"string_param": "1"}}`);
      const answer = await fixture.client.infer({ model_name: 'valueOf', parameters, inputs: [input('x', [1, 2, 3])] });
      expect(answer['outputs']).toHaveLength(1);
      const { status } = await rest('/v2/logging', JSON.parse(`{"${name}": "1"}`));
      expect(status).toBe(400);
    },
  );
});
