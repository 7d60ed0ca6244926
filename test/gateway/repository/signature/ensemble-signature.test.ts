import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { MODEL_CONFIG, ModelConfigError } from '../../../../src/gateway/repository/config/model-config.ts';
import { readModelFiles } from '../../../../src/gateway/repository/model-files.ts';
import { readEnsembleGraph } from '../../../../src/gateway/repository/signature/ensemble-graph.ts';
import { resolveEnsemble } from '../../../../src/gateway/repository/signature/ensemble-signature.ts';
import type { ModelSignature } from '../../../../src/gateway/repository/signature/model-signature.ts';
import { signatureOf, spec } from '../../../support/infer-requests.ts';
import { temporaryDirectory } from '../../../support/temporary-directory.ts';

type Config = z.input<typeof MODEL_CONFIG>;

/** image -> a -> mid -> b -> text, of FP32 with 4 elements a row. */
const CHAIN: Config = {
  max_batch_size: 8,
  input: [{ name: 'image', data_type: 'TYPE_FP32', dims: [4] }],
  output: [{ name: 'text', data_type: 'TYPE_FP32', dims: [4] }],
  ensemble_scheduling: {
    step: [
      { model_name: 'a', input_map: { x: 'image' }, output_map: { y: 'mid' } },
      { model_name: 'b', input_map: { x: 'mid' }, output_map: { y: 'text' } },
    ],
  },
};

const ROWS = signatureOf([spec('x', 'FP32', [-1, 4])], { outputs: [spec('y', 'FP32', [-1, 4])] });

async function resolve(
  config: Config,
  signatures: readonly ModelSignature[],
  directory = '/nowhere',
): Promise<ModelSignature> {
  const parsed = MODEL_CONFIG.parse(config);
  return resolveEnsemble(parsed, readEnsembleGraph(parsed), signatures, await readModelFiles(directory, parsed));
}

describe('what an ensemble takes and gives', () => {
  test('is what its configuration says, with a batch axis where it batches', async () => {
    expect(await resolve(CHAIN, [ROWS, ROWS])).toEqual({
      inputs: [spec('image', 'FP32', [-1, 4])],
      outputs: [{ ...spec('text', 'FP32', [-1, 4]), labelFilename: undefined, labels: [] }],
      batching: { kind: 'on', maxRows: 8 },
    });
  });

  test('lets a request have as many rows as all steps split, unless it must not be split', async () => {
    const splits = (requestRows: number): ModelSignature => ({
      ...ROWS,
      batching: { kind: 'on', maxRows: 8, requestRows },
    });
    const whole: ModelSignature = { ...ROWS, batching: { kind: 'off', reason: 'a fixed axis' } };
    const batchingOf = async (steps: readonly ModelSignature[], changes: Config = {}) =>
      (await resolve({ ...CHAIN, ...changes }, steps)).batching;
    expect(await batchingOf([splits(64), splits(32)])).toEqual({ kind: 'on', maxRows: 8, requestRows: 32 });
    expect(await batchingOf([splits(64), splits(32)], { max_batch_size: 16 })).toMatchObject({
      maxRows: 16,
      requestRows: 32,
    });
    const refused = { kind: 'on', maxRows: 8 };
    expect(await batchingOf([splits(64), ROWS])).toEqual(refused);
    expect(await batchingOf([splits(64), whole])).toEqual(refused);
    expect(await batchingOf([splits(64), splits(32)], { tensorgate: { split: false } })).toEqual(refused);
  });

  test('are whole shapes without max_batch_size, which steps that batch take as rows', async () => {
    const whole: Config = {
      ...CHAIN,
      max_batch_size: 0,
      input: [{ name: 'image', data_type: 'TYPE_FP32', dims: [3, 4] }],
      output: [{ name: 'text', data_type: 'TYPE_FP32', dims: [-1, -1] }],
    };
    expect(await resolve(whole, [ROWS, ROWS])).toMatchObject({
      inputs: [{ shape: [3, 4] }],
      outputs: [{ shape: [-1, -1] }],
      batching: { kind: 'off' },
    });
  });

  test('may come from a model that does not batch, if its first axis is open', async () => {
    const off = signatureOf([spec('x', 'FP32', [-1, -1])], {
      outputs: [spec('y', 'FP32', [-1, 4])],
      batching: { kind: 'off', reason: 'so' },
    });
    expect((await resolve(CHAIN, [ROWS, off])).batching).toEqual({ kind: 'on', maxRows: 8 });
  });

  test('has the labels of the step that gives it, or its own', async () => {
    const labelled: ModelSignature = {
      ...ROWS,
      outputs: [{ ...spec('y', 'FP32', [-1, 4]), labelFilename: 'steps.txt', labels: ['cat', 'dog'] }],
    };
    expect((await resolve(CHAIN, [ROWS, labelled])).outputs).toMatchObject([
      { labelFilename: 'steps.txt', labels: ['cat', 'dog'] },
    ]);
    const directory = temporaryDirectory();
    fs.writeFileSync(path.join(directory, 'own.txt'), 'Katze\nHund\n');
    const own: Config = {
      ...CHAIN,
      output: [{ name: 'text', data_type: 'TYPE_FP32', dims: [4], label_filename: 'own.txt' }],
    };
    expect((await resolve(own, [ROWS, labelled], directory)).outputs).toMatchObject([
      { labelFilename: 'own.txt', labels: ['Katze', 'Hund'] },
    ]);
  });
});

describe('is refused', () => {
  const cases: readonly { what: string; config?: Config; a?: ModelSignature; b?: ModelSignature; text: string }[] = [
    {
      what: 'a step of which an input is not known',
      a: signatureOf([spec('z', 'FP32', [-1, 4])], { outputs: [spec('y', 'FP32', [-1, 4])] }),
      text: "ensemble_scheduling: step 0 (model 'a') has no input 'x': it has 'z'",
    },
    {
      what: 'a step of which an output is not known',
      b: signatureOf([spec('x', 'FP32', [-1, 4])], {
        outputs: [spec('p', 'FP32', [-1, 4]), spec('q', 'FP32', [-1, 4])],
      }),
      text: "ensemble_scheduling: step 1 (model 'b') has no output 'y': it has 'p', 'q'",
    },
    {
      what: 'a step of which an input is not mapped',
      b: signatureOf([spec('x', 'FP32', [-1, 4]), spec('mask', 'BOOL', [-1])], {
        outputs: [spec('y', 'FP32', [-1, 4])],
      }),
      text: "ensemble_scheduling: step 1 (model 'b') needs the input 'mask', which is not mapped",
    },
    {
      what: 'another datatype between two steps',
      b: signatureOf([spec('x', 'INT64', [-1, 4])], { outputs: [spec('y', 'FP32', [-1, 4])] }),
      text: "ensemble_scheduling: tensor 'mid': output 'y' of step 0 (model 'a') is FP32 [-1,4], but input 'x' of step 1 (model 'b') is INT64 [-1,4]",
    },
    {
      what: 'another size between two steps',
      b: signatureOf([spec('x', 'FP32', [-1, 5])], { outputs: [spec('y', 'FP32', [-1, 4])] }),
      text: "ensemble_scheduling: tensor 'mid': output 'y' of step 0 (model 'a') is FP32 [-1,4], but input 'x' of step 1 (model 'b') is FP32 [-1,5]",
    },
    {
      what: 'another number of axes than the ensemble says',
      config: { ...CHAIN, output: [{ name: 'text', data_type: 'TYPE_FP32', dims: [4, 1] }] },
      text: "ensemble_scheduling: tensor 'text': output 'y' of step 1 (model 'b') is FP32 [-1,4], but output 'text' of the ensemble is FP32 [-1,4,1]",
    },
    {
      what: 'another datatype than the ensemble says',
      config: { ...CHAIN, input: [{ name: 'image', data_type: 'TYPE_UINT8', dims: [4] }] },
      text: "ensemble_scheduling: tensor 'image': input 'image' of the ensemble is UINT8 [-1,4], but input 'x' of step 0 (model 'a') is FP32 [-1,4]",
    },
    {
      what: 'an input of the ensemble that is optional',
      config: { ...CHAIN, input: [{ name: 'image', data_type: 'TYPE_FP32', dims: [4], optional: true }] },
      text: "input 'image' is optional in the configuration, but the inputs of an ensemble have no defaults: remove optional",
    },
    {
      what: 'more rows than a step takes',
      config: { ...CHAIN, max_batch_size: 9 },
      text: "max_batch_size is 9, but step 0 (model 'a') takes at most 8 rows",
    },
    {
      what: 'a batched ensemble whose step has its rows elsewhere',
      b: {
        ...ROWS,
        inputs: [{ ...spec('x', 'FP32', [4, -1]), rowAxis: 1 }],
      },
      text: "input 'x' of step 1 (model 'b') has its rows on axis 1, so an ensemble can only pass it on whole: set max_batch_size: 0",
    },
  ];

  test('an input with a default need not be mapped', async () => {
    const value = { shape: [1], data: new Uint8Array(1) };
    const b = signatureOf([spec('x', 'FP32', [-1, 4]), { ...spec('mask', 'BOOL', [-1]), default: value }], {
      outputs: [spec('y', 'FP32', [-1, 4])],
    });
    expect((await resolve(CHAIN, [ROWS, b])).inputs.map(({ name }) => name)).toEqual(['image']);
  });

  test.each(cases)('$what', async ({ config = CHAIN, a = ROWS, b = ROWS, text }) => {
    await expect(resolve(config, [a, b])).rejects.toThrow(new ModelConfigError(text));
  });
});
