/** Texts of mixed length, as clients see them: batches are shared, and every answer equals the answer to the text by itself. */

import { describe, expect, test, vi } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { readMetrics } from '../faults/observation.ts';
import { encoderModel } from '../support/onnx-models.ts';
import { below, randomFrom } from '../support/random.ts';
import type { ModelFiles } from '../support/repository.ts';
import { useServer } from '../support/server-fixture.ts';
import { askTexts, differenceOf, randomTexts, type Texts, type TextsRecipe } from '../support/texts.ts';
import { miniLm } from '../tools/tools.ts';

const one = { instance_group: [{ count: 1 }] };
const RECIPE: TextsRecipe = { maxLength: 90, maxRows: 3, vocabulary: 128 };
/** As a share of the largest value of an answer. */
const TOLERANCE = 1e-5;

function encoder(config: object = {}, bytes = encoderModel()): ModelFiles {
  return { versions: { 1: bytes }, config: { ...one, ...config } };
}

const tokens = { data_type: 'TYPE_INT64', dims: [-1] };
const ensemble: ModelFiles = {
  versions: { 1: undefined },
  config: {
    platform: 'ensemble',
    max_batch_size: 8,
    input: [
      { name: 'input_ids', ...tokens },
      { name: 'attention_mask', ...tokens },
    ],
    output: [
      { name: 'words', data_type: 'TYPE_FP32', dims: [-1, 16] },
      { name: 'text', data_type: 'TYPE_FP32', dims: [16] },
    ],
    ensemble_scheduling: {
      step: [
        {
          model_name: 'encoder',
          input_map: { input_ids: 'input_ids', attention_mask: 'attention_mask' },
          output_map: { last_hidden_state: 'words', pooled: 'text' },
        },
      ],
    },
  },
};

const fixture = useServer({
  encoder: encoder(),
  declared: encoder({ tensorgate: { padding: { input_ids: 3, attention_mask: 0 } } }),
  // 64 texts go at once, whatever their padding costs.
  gathering: encoder({ dynamic_batching: { max_queue_delay_microseconds: 5_000_000, preferred_batch_size: [64] } }),
  cached: encoder({ response_cache: { enable: true } }),
  unpadded: encoder({ tensorgate: { padding: {} } }),
  leaking: encoder({}, encoderModel('attention')),
  shadowed: {
    // Equal answers to texts without padding of their own; the second version is not padded by the server.
    versions: { 1: encoderModel(), 2: encoderModel('attention') },
    config: { ...one, tensorgate: { traffic: { shadow: { version: 2 } } } },
  },
  ensemble,
});

function textsOf(count: number, seed: number, recipe = RECIPE): Texts[] {
  const random = randomFrom(seed);
  return Array.from({ length: count }, () => randomTexts(recipe, random));
}

async function batchingOf(model: string): Promise<string> {
  const { config } = await fixture.client.call('ModelConfig', { name: model });
  return config.parameters['batching'].string_value;
}

/** Runs of the model until now. */
async function runsOf(model: string): Promise<number> {
  const { model_stats } = await fixture.client.call('ModelStatistics', { name: model });
  return Number(model_stats[0].execution_count);
}

/** All at once, and then one after the other: the largest difference, and how many runs the requests shared at once. */
async function compare(
  model: string,
  texts: readonly Texts[],
  reference = model,
): Promise<{ difference: number; runs: number }> {
  using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  const before = await runsOf(model);
  const together = await Promise.all(texts.map((text) => askTexts(client, model, text)));
  const runs = (await runsOf(model)) - before;
  let difference = 0;
  for (const [index, text] of texts.entries()) {
    const alone = await askTexts(client, reference, text);
    difference = Math.max(difference, differenceOf(alone, together[index] ?? new Map()));
  }
  return { difference, runs };
}

describe('a text encoder', () => {
  test.each(['encoder', 'declared'])('says that it pads: %s', async (model) => {
    expect(await batchingOf(model)).toBe('on (axis 0, max 64 rows, delay 0 us), padding on');
  });

  test.each([
    ['encoder', 1],
    ['encoder', 2],
    ['declared', 3],
    ['ensemble', 4],
  ])(
    'answers texts of any length, mask and number beside others as it does by itself: %s, seed %i',
    async (model, seed) => {
      const { difference } = await compare(model, textsOf(150, seed));
      expect(difference).toBeLessThan(TOLERANCE);
    },
  );

  test('shares batches between texts of unlike length, and shows the share of padding', async () => {
    const lengths = Array.from({ length: 64 }, (_, index) => 61 + (index % 16));
    const texts = lengths.map((length) => {
      return { rows: 1, length, ids: Array(length).fill(5n), mask: Array(length).fill(1n), maskLength: length };
    });
    const { difference, runs } = await compare('gathering', texts, 'encoder');
    expect(difference).toBeLessThan(TOLERANCE);
    // 16 lengths would be 16 runs at least.
    expect(runs).toBeLessThan(16);
    const metrics = await readMetrics(fixture.server);
    const share = metrics('tensorgate_padding_share', { model: 'gathering', version: '1' });
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(0.3);
  });

  test('keeps answers in its cache by the text, not by the length that it was padded to', async () => {
    using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
    const text = (length: number, id: bigint): Texts => {
      const ids = [id, ...Array(length - 1).fill(0n)];
      return { rows: 1, length, ids, mask: [1n, ...Array(length - 1).fill(0n)], maskLength: length };
    };
    const texts = [text(1, 7n), text(2, 7n), text(8, 7n), text(8, 9n)];
    const first = await Promise.all(texts.map((each) => askTexts(client, 'cached', each)));
    const runs = await runsOf('cached');
    for (const [index, each] of texts.entries()) {
      const again = await askTexts(client, 'cached', each);
      const reference = await askTexts(client, 'unpadded', each);
      expect(differenceOf(again, first[index] ?? new Map())).toBe(0);
      expect(differenceOf(reference, again)).toBeLessThan(TOLERANCE);
    }
    expect(await runsOf('cached')).toBe(runs);
  });
});

test('a shadow that is not padded gets the copies of padded requests as they came', async () => {
  using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  const texts = Array.from({ length: 4 }, (_, index): Texts => {
    const length = 9 + index;
    return { rows: 1, length, ids: Array(length).fill(7n), mask: Array(length).fill(1n), maskLength: length };
  });
  const pair = { model: 'shadowed', primary: '1', shadow: '2' };
  const compared = await vi.waitUntil(
    async () => {
      // Copies are shed where they would be in the way.
      await Promise.all(texts.map((text) => askTexts(client, 'shadowed', text)));
      const metrics = await readMetrics(fixture.server);
      const count = metrics('tensorgate_shadow_max_absolute_difference_count', pair);
      return count > 3 && { count, sum: metrics('tensorgate_shadow_max_absolute_difference_sum', pair) };
    },
    { timeout: 20_000, interval: 100 },
  );
  expect(compared.sum / compared.count).toBeLessThan(TOLERANCE);
  const metrics = await readMetrics(fixture.server);
  for (const reason of ['internal', 'invalid_data', 'invalid_request']) {
    expect(metrics('tensorgate_shadow_failures_total', { ...pair, reason })).toBe(0);
  }
});

describe('a text encoder that is not padded', () => {
  test.each([
    ['unpadded', 'padding off: the configuration says tensorgate.padding: {}'],
    ['leaking', "padding off: output 'pooled' of a row changes by "],
  ])('says why: %s', async (model, reason) => {
    expect(await batchingOf(model)).toContain(`on (axis 0, max 64 rows, delay 0 us), ${reason}`);
  });

  test('answers texts beside others as it does by itself', async () => {
    const { difference } = await compare('leaking', textsOf(100, 5));
    expect(difference).toBeLessThan(TOLERANCE);
  });

  test('has no share of padding', async () => {
    const metrics = await readMetrics(fixture.server);
    expect(metrics('tensorgate_padding_share', { model: 'leaking', version: '1' })).toBe(0);
  });
});

const file = miniLm();
if (file === undefined) console.warn('SKIPPED: MiniLM is not installed (test/tools/setup.sh does)');

describe.runIf(file !== undefined)('all-MiniLM-L6-v2, as its package has it', () => {
  const config = {
    ...one,
    // Eight texts go at once, whatever their padding costs.
    dynamic_batching: { max_queue_delay_microseconds: 400_000, preferred_batch_size: [8] },
  };
  const real = useServer({ minilm: { versions: { 1: new Uint8Array(file ?? []) }, config } });

  test('is padded, and answers texts beside others as it does by itself', async () => {
    using client = new InferenceClient(real.server.grpc, { deadlineMs: 60_000 });
    const { config: said } = await real.client.call('ModelConfig', { name: 'minilm' });
    expect(said.parameters['batching'].string_value).toMatch(/^on \(.*\), padding on$/);
    const random = randomFrom(6);
    const texts = Array.from({ length: 8 }, (_, index): Texts => {
      const length = 21 + index;
      const ids = Array.from({ length }, () => BigInt(below(30_000, random)));
      return { rows: 1, length, ids, mask: Array(length).fill(1n), maskLength: length };
    });
    const together = await Promise.all(texts.map((text) => askTexts(client, 'minilm', text, { types: true })));
    const { model_stats } = await real.client.call('ModelStatistics', { name: 'minilm' });
    expect(Number(model_stats[0].execution_count)).toBeLessThan(texts.length);
    for (const [index, text] of texts.entries()) {
      const alone = await askTexts(client, 'minilm', text, { types: true });
      expect(differenceOf(alone, together[index] ?? new Map())).toBeLessThan(TOLERANCE);
    }
  });
});
