/** The example's network, whose first version stores its weights as float16. */

import { beforeAll, describe, expect, test } from 'vitest';
import { calibrate, type Ranges } from '../../src/compress/calibration.ts';
import { compress } from '../../src/compress/compress.ts';
import type { Compressed } from '../../src/compress/note.ts';
import { encodeOnnxModel, type OnnxModel, readOnnxModel } from '../../src/compress/onnx/model-file.ts';
import { countOperators } from '../../src/compress/optimized-model.ts';
import { parseTechnique } from '../../src/compress/technique.ts';
import { cifar10, demoImages, imageFeeds, type LabelledImage } from '../support/cifar10.ts';
import { argmax, outputsOf, RUNNER } from '../support/model-runs.ts';
import { defectsOf } from '../support/network.ts';
import { rowVerdict } from '../support/row-verdict.ts';

let model: OnnxModel;
let images: LabelledImage[];
let ranges: Ranges;

beforeAll(async () => {
  model = await readOnnxModel('models/cifar10/1/model.onnx');
  images = (await cifar10('train', 512)) ?? (await demoImages());
  ranges = await calibrate(model, imageFeeds(images, 32), RUNNER);
});

const made = new Map<string, Compressed>();

/** By a technique, once. */
function compressed(technique: string): Compressed {
  const found = made.get(technique) ?? compress(model, parseTechnique(technique), ranges);
  made.set(technique, found);
  return found;
}

async function classesOf(candidate: OnnxModel, of: readonly LabelledImage[]): Promise<number[]> {
  const answers = await outputsOf(candidate, imageFeeds(of, 100));
  return answers.flatMap((rows) =>
    Array.from({ length: rows.length / 10 }, (_, i) => argmax(rows.subarray(i * 10, i * 10 + 10))),
  );
}

function agreement(a: readonly number[], b: readonly number[]): number {
  return a.filter((label, index) => label === b[index]).length / a.length;
}

describe('int8', () => {
  test('gives the answers of float32 to the images that it was calibrated with', async () => {
    const { model: int8 } = compressed('int8');
    expect(agreement(await classesOf(int8, images), await classesOf(model, images))).toBeGreaterThanOrEqual(0.98);
  });

  test('runs in integers from the pixels to the logits', async () => {
    const { model: int8 } = compressed('int8');
    const operators = await countOperators(int8, RUNNER);
    const count = (name: string): number => operators.find(({ opType }) => opType === name)?.count ?? 0;
    expect(count('QLinearConv')).toBe(2);
    expect(count('QGemm')).toBe(2);
    expect(count('DequantizeLinear') + count('QuantizeLinear')).toBe(0);
    expect(count('Conv') + count('Gemm') + count('FusedGemm') + count('Relu')).toBe(0);
    const ofOnnxRuntime = operators.filter(({ domain }) => domain === 'com.microsoft');
    expect(ofOnnxRuntime.reduce((sum, operator) => sum + operator.count, 0)).toBeGreaterThanOrEqual(4);
  });

  test('is a quarter of the size of float32, sound, and the same each time', () => {
    const bytes = () => encodeOnnxModel(compress(model, { kind: 'int8' }, ranges).model, 'int8');
    // 4.28 million weights.
    expect(bytes().byteLength).toBeLessThan(4.3e6);
    expect(defectsOf(compressed('int8').model)).toEqual([]);
    expect(Buffer.compare(bytes(), bytes())).toBe(0);
  });

  test('says what became of each layer', () => {
    const { notes } = compressed('int8');
    expect(notes.filter(({ kind }) => kind === 'kept').map(({ opType }) => opType)).toEqual(['Softmax']);
    expect(notes.filter(({ kind }) => kind === 'quantized').map(({ opType }) => opType)).toEqual([
      'Conv',
      'Relu',
      'MaxPool',
      'Conv',
      'Relu',
      'MaxPool',
      'Flatten',
      'Gemm',
      'Relu',
      'Gemm',
    ]);
  });
});

describe.each(['int8', 'fp16-weights', 'rank:64', 'sparse:0.5'])('%s', (technique) => {
  test('keeps labels and names, and notes itself', () => {
    const { model: small } = compressed(technique);
    const metadata = new Map(small.metadataProps.map(({ key, value }) => [key, value]));
    expect(metadata.get('labels')).toContain('airplane');
    expect(metadata.get('tensorgate.compressed')).toBe(technique);
    expect(small.graph?.input.map(({ name }) => name)).toEqual(['image']);
    expect(small.graph?.output.map(({ name }) => name)).toEqual(['probabilities']);
    expect(defectsOf(small)).toEqual([]);
  });

  test('answers to each row as in a run of its own', async () => {
    const { model: small } = compressed(technique);
    const samples = [...imageFeeds(images.slice(0, 4), 1)];
    expect(await rowVerdict(small, samples)).toMatchObject({ verdict: 'independent', changed: 0 });
  });
});

test('techniques can follow each other', async () => {
  const { model: thin } = compressed('rank:64');
  const again = await calibrate(thin, imageFeeds(images.slice(0, 64), 32), RUNNER);
  const { model: both } = compress(thin, { kind: 'int8' }, again);
  expect(both.metadataProps.find(({ key }) => key === 'tensorgate.compressed')?.value).toBe('rank:64,int8');
  expect(encodeOnnxModel(both, 'both').byteLength).toBeLessThan(0.8e6);
  expect(agreement(await classesOf(both, images), await classesOf(model, images))).toBeGreaterThan(0.8);
});

test('weights that were stored as float16 are so after other techniques too', () => {
  const { model: thin } = compressed('rank:64');
  const { model: sparse } = compressed('sparse:0.5');
  expect(encodeOnnxModel(thin, 'thin').byteLength).toBeLessThan(1.5e6);
  expect(encodeOnnxModel(sparse, 'sparse').byteLength).toBeLessThan(8.6e6);
});

describe('on the 10,000 test images', () => {
  test('int8 is within half a point of float32', { timeout: 600_000 }, async ({ skip }) => {
    const all = await cifar10('test', 10_000);
    if (all === undefined) return skip('the archive of CIFAR-10 is not there');
    const labels = all.map(({ label }) => label);
    const { model: int8 } = compressed('int8');
    const [before, after] = [await classesOf(model, all), await classesOf(int8, all)];
    const [float, integer] = [agreement(before, labels), agreement(after, labels)];
    console.log(`accuracy: float32 ${float}, int8 ${integer}; agreement ${agreement(before, after)}`);
    expect(integer).toBeGreaterThan(float - 0.005);
  });
});
