/** Ensembles over gRPC: steps with real runners, as a client sees them. */

import { describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { gatherModel, identityModel, loopModel, slowModel, sumModel } from '../support/onnx-models.ts';
import type { ModelFiles } from '../support/repository.ts';
import { useServer } from '../support/server-fixture.ts';
import type { Message } from '../support/stock-client.ts';

type Map = Readonly<Record<string, string>>;

/** Tensors are `[name, datatype, ...dims]`; steps are `[model, input_map, output_map]`. */
function ensemble(
  input: readonly (readonly [string, string, ...number[]])[],
  output: readonly (readonly [string, string, ...number[]])[],
  steps: readonly (readonly [string, Map, Map])[],
  fields: object = { max_batch_size: 8 },
): ModelFiles {
  const declared = ([name, data_type, ...dims]: readonly [string, string, ...number[]]) => ({ name, data_type, dims });
  const step = steps.map(([model_name, input_map, output_map]) => ({ model_name, input_map, output_map }));
  const config = {
    platform: 'ensemble',
    input: input.map(declared),
    output: output.map(declared),
    ensemble_scheduling: { step },
    ...fields,
  };
  return { versions: { 1: undefined }, config };
}

const one = { instance_group: [{ count: 1 }] };

const fixture = useServer(
  {
    // Before its steps, by name as by loading.
    both: ensemble(
      [
        ['p', 'TYPE_FP32', 2],
        ['q', 'TYPE_FP32', 2],
      ],
      [
        ['twice_p', 'TYPE_FP32', 2],
        ['s', 'TYPE_FP32', 2],
      ],
      [
        ['sum', { a: 's', b: 'd' }, { sum: 'twice_p' }],
        ['sum', { a: 'p', b: 'q' }, { sum: 's', difference: 'd' }],
      ],
    ),
    nested: ensemble(
      [['p', 'TYPE_FP32', 2]],
      [['four_p', 'TYPE_FP32', 2]],
      [
        ['both', { p: 'p', q: 'p' }, { twice_p: 'two_p' }],
        ['both', { p: 'two_p', q: 'p' }, { twice_p: 'four_p' }],
      ],
    ),
    sum: { versions: { 1: sumModel() }, config: one },
    gather: { versions: { 1: gatherModel(5) }, config: one },
    numbers: { versions: { 1: identityModel('INT64', ['batch', 2]) }, config: one },
    looked_up: ensemble(
      [['raw', 'TYPE_INT64', 2]],
      [['rows', 'TYPE_FP32', 2, 3]],
      [
        ['numbers', { input: 'raw' }, { output: 'indices' }],
        ['gather', { indices: 'indices' }, { rows: 'rows' }],
      ],
      { max_batch_size: 8, tensorgate: { split: false } },
    ),
    words: { versions: { 1: identityModel('BYTES', ['batch', 2]) }, config: one },
    texts: ensemble(
      [['in', 'TYPE_STRING', 2]],
      [['out', 'TYPE_STRING', 2]],
      [
        ['words', { input: 'in' }, { output: 'between' }],
        ['words', { input: 'between' }, { output: 'out' }],
      ],
    ),
    loop: { versions: { 1: loopModel() }, config: one },
    slow: ensemble(
      [
        ['n', 'TYPE_INT64', 1],
        ['x', 'TYPE_FP32', 1],
      ],
      [['y', 'TYPE_FP32', 1]],
      [
        ['loop', { iterations: 'n', input: 'x' }, { output: 'again' }],
        ['loop', { iterations: 'n', input: 'again' }, { output: 'y' }],
      ],
    ),
    quick: { versions: { 1: identityModel('FP32', ['batch', 1]) }, config: one },
    steady: { versions: { 1: slowModel(2_000) }, config: one },
    queued: ensemble(
      [['x', 'TYPE_FP32', 1]],
      [['y', 'TYPE_FP32', 1]],
      [
        ['quick', { input: 'x' }, { output: 'same' }],
        ['steady', { input: 'same' }, { output: 'y' }],
      ],
    ),
    misfit: ensemble(
      [['raw', 'TYPE_INT64', 2]],
      [['rows', 'TYPE_FP32', 2, 4]],
      [['gather', { indices: 'raw' }, { rows: 'rows' }]],
    ),
  },
  { flags: ['--log-level', 'silent'] },
);

function client(): InferenceClient {
  return new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
}

async function statisticsOf(name: string): Promise<Message> {
  const { model_stats } = await fixture.client.call('ModelStatistics', { name });
  return model_stats[0];
}

describe('an ensemble', () => {
  test('answers what its models answer one after the other, to any number of rows', async () => {
    using caller = client();
    const p = tensor.fp32([1, 2, 3, 4], [2, 2]);
    const q = tensor.fp32([10, 20, 30, 40], [2, 2]);
    const step0 = await caller.infer('sum', { a: p, b: q });
    const [s, d] = [step0.output('sum', 'FP32'), step0.output('difference', 'FP32')];
    const step1 = await caller.infer('sum', { a: tensor.fp32(s.data, [2, 2]), b: tensor.fp32(d.data, [2, 2]) });
    const together = await caller.infer('both', { p, q });
    expect(together.output('twice_p', 'FP32').data).toEqual(step1.output('sum', 'FP32').data);
    expect(together.output('s', 'FP32').data).toEqual(s.data);
    expect([...together.output('twice_p', 'FP32').data]).toEqual([2, 4, 6, 8]);
  });

  test('may be a step of another', async () => {
    using caller = client();
    const { outputs } = await caller.infer('nested', { p: tensor.fp32([1, 2], [1, 2]) });
    expect([...(outputs.get('four_p')?.data ?? [])]).toEqual([4, 8]);
  });

  test('passes texts on', async () => {
    using caller = client();
    const { outputs } = await caller.infer('texts', { in: tensor.bytes(['äöü', ''], [1, 2]) });
    expect(outputs.get('out')).toMatchObject({ datatype: 'BYTES', shape: [1, 2] });
    const answer = await fixture.client.infer({
      model_name: 'texts',
      inputs: [
        { name: 'in', datatype: 'BYTES', shape: [1, 2], contents: { bytes_contents: ['ä', ''].map(Buffer.from) } },
      ],
    });
    expect(answer['outputs'][0].contents.bytes_contents.map(String)).toEqual(['ä', '']);
  });

  test('shares batches of its steps among callers', async () => {
    using caller = client();
    const before = await statisticsOf('loop');
    const requests = Array.from({ length: 16 }, (_, index) =>
      caller.infer('slow', { n: tensor.int64([200n], [1, 1]), x: tensor.fp32([index], [1, 1]) }),
    );
    const answers = await Promise.all(requests);
    expect(answers.map((answer) => answer.output('y', 'FP32').data[0])).toEqual([...Array(16).keys()]);
    const after = await statisticsOf('loop');
    expect(Number(after['inference_count']) - Number(before['inference_count'])).toBe(32);
    expect(Number(after['execution_count']) - Number(before['execution_count'])).toBeLessThan(32);
  });

  test('answers only the outputs that are asked for, and runs no step for others', async () => {
    const before = await statisticsOf('sum');
    const { outputs } = await fixture.client.infer({
      model_name: 'both',
      inputs: ['p', 'q'].map((name) => ({
        name,
        datatype: 'FP32',
        shape: [1, 2],
        contents: { fp32_contents: [1, 2] },
      })),
      outputs: [{ name: 's' }],
    });
    expect(outputs).toMatchObject([{ name: 's', contents: { fp32_contents: [2, 4] } }]);
    const after = await statisticsOf('sum');
    expect(Number(after['execution_count']) - Number(before['execution_count'])).toBe(1);
  });
});

describe('fails', () => {
  const lookUp = (values: readonly string[], shape: readonly number[]): Message => ({
    model_name: 'looked_up',
    inputs: [{ name: 'raw', datatype: 'INT64', shape, contents: { int64_contents: values } }],
  });

  test('with the reason of a step, whose name it reports', async () => {
    expect(await fixture.client.infer(lookUp(['1', '4'], [1, 2]))).toBeDefined();
    const refusal = await fixture.client.refusal('ModelInfer', lookUp(['1', '99'], [1, 2]));
    expect(refusal.code).toBe('INVALID_ARGUMENT');
    expect(refusal.text).toMatch(
      /^in ensemble 'looked_up', step 1 \(model 'gather'\): the model refused this input: .*out of/,
    );
  });

  test('before any step where the request does not fit the ensemble', async () => {
    const { text } = await fixture.client.refusal('ModelInfer', lookUp(['1', '2', '3'], [1, 3]));
    expect(text).toBe("unexpected shape for input 'raw' for model 'looked_up'. Expected [-1,2], got [1,3]");
    const rows = Array.from({ length: 18 }, () => '1');
    expect(await fixture.client.refusal('ModelInfer', lookUp(rows, [9, 2]))).toMatchObject({
      text: expect.stringContaining('batch-size must be <= 8'),
    });
  });

  test('when its deadline passes, in whatever step it is then', async () => {
    using caller = new InferenceClient(fixture.server.grpc, { deadlineMs: 500 });
    const answer = caller.infer('slow', { n: tensor.int64([100_000n], [1, 1]), x: tensor.fp32([1], [1, 1]) });
    await expect(answer).rejects.toMatchObject({ code: 4 });
  });

  test('before its first step where a later one has too much to do', async () => {
    const countOf = async (name: string): Promise<string> =>
      (await statisticsOf(name))['inference_stats'].success.count;
    const x = tensor.fp32([1], [1, 1]);
    using patient = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
    expect([...(await patient.infer('queued', { x })).output('y', 'FP32').data]).toEqual([1]);
    const started = performance.now();
    await patient.infer('steady', { input: x });
    const runMs = performance.now() - started;
    const before = await countOf('quick');
    using others = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
    // Four full batches.
    const waiting = Array.from({ length: 256 }, () => others.infer('steady', { input: x }));
    void Promise.allSettled(waiting);
    await Promise.race(waiting);
    using hasty = new InferenceClient(fixture.server.grpc, { deadlineMs: Math.ceil(runMs) });
    await expect(hasty.infer('queued', { x })).rejects.toMatchObject({
      code: 8,
      message: expect.stringMatching(/in ensemble 'queued': cannot be answered in time/),
    });
    expect(await countOf('quick')).toBe(before);
  });

  test('to load where its graph does not fit its models, with both sides', async () => {
    const { models } = await fixture.client.call('RepositoryIndex', {});
    expect(models).toContainEqual({
      name: 'misfit',
      version: '1',
      state: 'UNAVAILABLE',
      reason:
        "ensemble_scheduling: tensor 'rows': output 'rows' of step 0 (model 'gather') is FP32 [-1,2,3], but output 'rows' of the ensemble is FP32 [-1,2,4]",
    });
  });
});

describe('is described', () => {
  test('by its metadata and its configuration', async () => {
    expect(await fixture.client.call('ModelMetadata', { name: 'both' })).toMatchObject({
      name: 'both',
      versions: ['1'],
      platform: 'ensemble',
      inputs: [
        { name: 'p', datatype: 'FP32', shape: ['-1', '2'] },
        { name: 'q', datatype: 'FP32', shape: ['-1', '2'] },
      ],
      outputs: [{ name: 'twice_p' }, { name: 's' }],
    });
    const { config } = await fixture.client.call('ModelConfig', { name: 'both' });
    expect(config).toMatchObject({
      platform: 'ensemble',
      backend: '',
      max_batch_size: 8,
      input: [
        { name: 'p', data_type: 'TYPE_FP32', dims: ['2'] },
        { name: 'q', data_type: 'TYPE_FP32', dims: ['2'] },
      ],
      instance_group: [],
      scheduling_choice: 'ensemble_scheduling',
      ensemble_scheduling: {
        step: [
          { model_name: 'sum', model_version: '-1', input_map: { a: 's', b: 'd' }, output_map: { sum: 'twice_p' } },
          { model_name: 'sum', model_version: '-1', input_map: { a: 'p', b: 'q' } },
        ],
      },
    });
  });

  test('by statistics in which every count of computing equals the successes, for it and for its steps', async () => {
    const { inference_stats: stats, batch_stats, execution_count, inference_count } = await statisticsOf('both');
    expect(Number(stats.success.count)).toBeGreaterThan(0);
    for (const part of ['queue', 'compute_input', 'compute_infer', 'compute_output']) {
      expect(stats[part].count).toBe(stats.success.count);
    }
    expect(execution_count).toBe(stats.success.count);
    const rows = batch_stats.map(
      ({ batch_size, compute_infer }: Message) => Number(batch_size) * Number(compute_infer.count),
    );
    expect(rows.reduce((sum: number, count: number) => sum + count, 0)).toBe(Number(inference_count));
    expect(stats.queue.ns).toBe('0');
    const { inference_stats: ofSum } = await statisticsOf('sum');
    for (const part of ['queue', 'compute_input', 'compute_infer', 'compute_output']) {
      expect(ofSum[part].count).toBe(ofSum.success.count);
    }
  });
});
