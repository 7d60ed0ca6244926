/** int8 of a real encoder, all-MiniLM-L6-v2, whose export stores its weights as int8 and computes in float. */

import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { calibrate } from '../../src/compress/calibration.ts';
import { compress } from '../../src/compress/compress.ts';
import type { Feeds } from '../../src/compress/model-run.ts';
import type { Compressed } from '../../src/compress/note.ts';
import { encodeOnnxModel, type OnnxModel, readOnnxModel } from '../../src/compress/onnx/model-file.ts';
import { TokenizerStep } from '../../src/worker/steps/tokenizer.ts';
import { outputsOf, RUNNER } from '../support/model-runs.ts';
import { defectsOf } from '../support/network.ts';
import { searchModel } from '../tools/tools.ts';

const folder = searchModel();
const OPTIONS = { kind: 'tokenizer', truncation: 'truncate', pair: false, specialTokensInText: true } as const;
const WIDTH = 384;

const passages = fs
  .readFileSync(path.join(import.meta.dirname, '../../examples/search/passages.txt'), 'utf8')
  .trimEnd()
  .split('\n');
const CALIBRATED = passages.filter((_, index) => index % 25 === 0);
const JUDGED = passages.filter((_, index) => index % 30 === 7);

describe.skipIf(folder === undefined)('int8 of all-MiniLM-L6-v2', () => {
  let model: OnnxModel;
  let int8: Compressed;
  let tokenizer: TokenizerStep;

  function feedsOf(texts: readonly string[]): Feeds[] {
    return texts.map((text) => {
      const outputs = tokenizer.run([{ shape: [1], data: [text] }]);
      const names = tokenizer.describe().outputs.map(({ name }) => name);
      return new Map(
        outputs.map(({ shape, data }, at) => [names[at]!, { datatype: 'INT64', shape, data: data as Uint8Array }]),
      );
    });
  }

  /** The mean of the tokens' vectors, of the length 1. */
  async function vectorsOf(encoder: OnnxModel): Promise<number[][]> {
    const states = await outputsOf(encoder, feedsOf(JUDGED));
    return states.map((tokens) => {
      const sum = Array.from({ length: WIDTH }, (_, at) => {
        let total = 0;
        for (let token = at; token < tokens.length; token += WIDTH) total += tokens[token] ?? 0;
        return total;
      });
      const norm = Math.hypot(...sum);
      return sum.map((value) => value / norm);
    });
  }

  beforeAll(async () => {
    tokenizer = await TokenizerStep.open(folder ?? '', { ...OPTIONS, maxTextBytes: 1_024 });
    model = await readOnnxModel(path.join(folder ?? '', 'model.onnx'));
    int8 = compress(model, { kind: 'int8' }, await calibrate(model, feedsOf(CALIBRATED), RUNNER));
  });

  test('quantizes the products with weights, and the tables of words and positions', () => {
    expect(defectsOf(int8.model)).toEqual([]);
    const texts = int8.notes.filter(({ kind }) => kind === 'quantized').map(({ opType, text }) => `${opType}: ${text}`);
    // Six layers with four products of attention and two behind them.
    expect(texts.filter((text) => text.startsWith('MatMul: int8 weights'))).toHaveLength(36);
    expect(texts.filter((text) => text.startsWith('Gather'))).toEqual([
      'Gather: int8 table, a scale for each of 30522 rows',
      'Gather: int8 table, a scale for each of 512 rows',
    ]);
    expect(encodeOnnxModel(int8.model, 'int8').length).toBeLessThan(23_500_000);
  });

  test('keeps the vectors of passages that it was not calibrated on', async () => {
    const [before, after] = [await vectorsOf(model), await vectorsOf(int8.model)];
    const cosines = before.map((vector, row) =>
      vector.reduce((sum, value, at) => sum + value * (after[row]?.[at] ?? Number.NaN), 0),
    );
    expect(cosines).toHaveLength(JUDGED.length);
    expect(Math.min(...cosines)).toBeGreaterThan(0.96);
  });
});
