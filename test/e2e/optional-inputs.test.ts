/** Inputs that have an initializer in the file: callers may leave them out, and callers that bring them are respected. */

import { describe, expect, test } from 'vitest';
import { InferenceClient, type Inputs, tensor } from '../../src/client/inference-client.ts';
import { DOORS } from '../support/caller.ts';
import { optionalInputsModel } from '../support/exported-models.ts';
import { floatRows, npz } from '../support/npz.ts';
import { useServer } from '../support/server-fixture.ts';

const CONFIG = { instance_group: [{ count: 1, kind: 'KIND_CPU' }], tensorgate: { runner: 'optional' } };

const fixture = useServer({
  m: {
    versions: { 1: optionalInputsModel() },
    config: {
      ...CONFIG,
      // Long enough for requests that are sent at once to share a batch, where they may.
      dynamic_batching: { max_queue_delay_microseconds: 20_000 },
      model_warmup: [
        { name: 'without', inputs: { x: { data_type: 'TYPE_FP32', dims: [3], zero_data: true } } },
        {
          name: 'with',
          inputs: {
            x: { data_type: 'TYPE_FP32', dims: [3], zero_data: true },
            factor: { data_type: 'TYPE_FP32', dims: [3], random_data: true },
          },
        },
      ],
    },
    files: {
      '1/golden/golden.json': '{}',
      '1/golden/golden.npz': npz({ 'input.x': floatRows([[1, 1, 1]]), 'output.y': floatRows([[3, 4, 5]]) }),
    },
  },
  listed: {
    versions: { 1: optionalInputsModel() },
    config: { ...CONFIG, input: [{ name: 'factor', data_type: 'TYPE_FP32', dims: [3], optional: true }] },
  },
  constants: { versions: { 1: optionalInputsModel({ irVersion: 3 }) }, config: CONFIG },
  uneven: { versions: { 1: optionalInputsModel({ biasRows: 2 }) }, config: CONFIG },
  chain: {
    versions: { 1: undefined },
    config: {
      platform: 'ensemble',
      max_batch_size: 64,
      input: [
        { name: 'in', data_type: 'TYPE_FP32', dims: [3] },
        { name: 'add', data_type: 'TYPE_FP32', dims: [3] },
      ],
      output: [{ name: 'out', data_type: 'TYPE_FP32', dims: [3] }],
      ensemble_scheduling: {
        step: [
          { model_name: 'm', input_map: { x: 'in' }, output_map: { y: 'between' } },
          { model_name: 'm', input_map: { x: 'between', bias: 'add' }, output_map: { y: 'out' } },
        ],
      },
    },
  },
});

const rows = (...values: readonly (readonly number[])[]) =>
  tensor.fp32(new Float32Array(values.flat()), [values.length, 3]);
const factorOf = (...values: readonly number[]) => tensor.fp32(new Float32Array(values), [3]);

describe.each(DOORS)('over $name', ({ connect, hasStatus }) => {
  const ask = async (model: string, inputs: Inputs): Promise<number[]> => {
    using caller = connect(fixture.server);
    const { outputs } = await caller.infer(model, inputs);
    return [...((outputs.get('y') ?? outputs.get('out'))?.data ?? [])].map(Number);
  };

  test.each(['m', 'listed'])('an input that is left out has its default: %s', async (model) => {
    expect(await ask(model, { x: rows([1, 1, 1], [2, 2, 2]) })).toEqual([3, 4, 5, 5, 7, 9]);
  });

  test('an input that is brought is respected, by itself and with others, in any order', async () => {
    const x = rows([1, 1, 1], [2, 2, 2]);
    const factor = factorOf(0, 1, 10);
    const bias = rows([1, 2, 3], [4, 5, 6]);
    expect(await ask('m', { x, factor })).toEqual([1, 2, 11, 1, 3, 21]);
    expect(await ask('m', { x, bias })).toEqual([3, 5, 7, 8, 11, 14]);
    expect(await ask('m', { bias, factor, x })).toEqual([1, 3, 13, 4, 7, 26]);
  });

  test('an ensemble may map an optional input, or leave it out', async () => {
    const bias = rows([0, 0, 0]);
    expect(await ask('chain', { in: rows([1, 1, 1]), add: bias })).toEqual([6, 12, 20]);
  });

  test('a required input that is missing, and an unknown one, are refused as always', async () => {
    using caller = connect(fixture.server);
    const missing = caller.infer('m', { factor: factorOf(1, 1, 1) });
    await expect(missing).rejects.toThrow(
      "expected number of inputs between 1 and 3 but got 1 inputs for model 'm'. Got input(s) ['factor'], but missing required input(s) ['x']",
    );
    const unknown = caller.infer('m', { x: rows([1, 1, 1]), other: factorOf(1, 1, 1) });
    await expect(unknown).rejects.toThrow("unexpected inference input 'other' for model 'm'");
    const wrong = caller.infer('m', { x: rows([1, 1, 1]), factor: tensor.fp32(new Float32Array(2), [2]) });
    await expect(wrong).rejects.toThrow("unexpected shape for input 'factor' for model 'm'. Expected [3], got [2]");
    if (hasStatus) await expect(missing).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });
});

test('requests share a batch only where the input that all rows share is equal', async () => {
  using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  const executions = async (): Promise<number> => {
    const { model_stats } = await fixture.client.call('ModelStatistics', { name: 'm' });
    return Number(model_stats[0].execution_count);
  };
  const before = await executions();
  const x = rows([1, 1, 1]);
  // The second is equal to the default.
  const asked = [
    { x },
    { x, factor: factorOf(2, 3, 4) },
    { x, factor: factorOf(5, 5, 5) },
    { x, bias: rows([7, 8, 9]) },
  ];
  const answers = await Promise.all(asked.map((inputs) => client.infer('m', inputs)));
  expect(answers.map(({ outputs }) => [...(outputs.get('y')?.data ?? [])])).toEqual([
    [3, 4, 5],
    [3, 4, 5],
    [6, 6, 6],
    [9, 11, 13],
  ]);
  expect((await executions()) - before).toBeGreaterThanOrEqual(2);
  expect((await executions()) - before).toBeLessThan(4);
});

test('many requests with and without optional inputs each get their own answer', async () => {
  using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  const ask = async (index: number): Promise<void> => {
    const x = rows([index, 1, 2]);
    const factor = [index % 3, 1, 2];
    const bias = [index, index, index];
    const inputs = {
      x,
      ...(index % 2 === 0 && { factor: factorOf(...factor) }),
      ...(index % 5 < 2 && { bias: rows(bias) }),
    };
    const [f, b] = [index % 2 === 0 ? factor : [2, 3, 4], index % 5 < 2 ? bias : [1, 1, 1]];
    const { outputs } = await client.infer('m', inputs);
    const wanted = [index, 1, 2].map((each, at) => each * (f[at] ?? 0) + (b[at] ?? 0));
    expect([...(outputs.get('y')?.data ?? [])]).toEqual(wanted);
  };
  await Promise.all(Array.from({ length: 200 }, (_, index) => ask(index)));
});

describe('the description', () => {
  test('says which inputs are optional, over REST and in the configuration', async () => {
    const metadata = await (await fetch(`${fixture.server.http}/v2/models/m`)).json();
    expect(metadata).toMatchObject({
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [-1, 3] },
        { name: 'factor', datatype: 'FP32', shape: [3], optional: true },
        { name: 'bias', datatype: 'FP32', shape: [-1, 3], optional: true },
      ],
    });
    const { config } = await fixture.client.call('ModelConfig', { name: 'm' });
    expect(config.input.map((input: { name: string; optional: boolean }) => [input.name, input.optional])).toEqual([
      ['x', false],
      ['factor', true],
      ['bias', true],
    ]);
    expect(config.max_batch_size).toBe(64);
  });

  test('lists no optional input of a model whose format has none', async () => {
    using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
    expect((await client.modelMetadata('constants')).inputs.map(({ name }) => name)).toEqual(['x']);
  });

  test('says why a model is not batched whose default has several rows', async () => {
    const { config } = await fixture.client.call('ModelConfig', { name: 'uneven' });
    expect(config.max_batch_size).toBe(0);
    expect(config.parameters.batching.string_value).toContain(
      "the default of input 'bias' has the shape [2,3], which is not one row",
    );
  });
});
