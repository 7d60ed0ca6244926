/** Labels: the classes of each row with their scores, the likeliest first. */

import type { LabelsOptions } from '../step-spec.ts';
import {
  bytesOf,
  bytesOfArray,
  refused,
  type Step,
  type StepDescription,
  type StepInput,
  type StepOutput,
  tensorOf,
} from './step.ts';

export class LabelsStep implements Step {
  readonly #options: LabelsOptions;

  constructor(options: LabelsOptions) {
    this.#options = options;
  }

  /** `logits` FP32 [rows, classes] -> `label` BYTES and `score` FP32 [rows, classes given]. */
  describe(): StepDescription {
    const { labels, topK } = this.#options;
    const classes = labels.length > 0 ? labels.length : 'classes';
    const given = topK ?? classes;
    return {
      inputs: [tensorOf('logits', 'FP32', ['batch', classes])],
      outputs: [tensorOf('label', 'BYTES', ['batch', given]), tensorOf('score', 'FP32', ['batch', given])],
    };
  }

  run([logits]: readonly StepInput[]): readonly StepOutput[] {
    if (logits === undefined) throw new TypeError('expected logits');
    const [rows = 0, classes = 0] = logits.shape;
    const { topK = classes, labels, function: name } = this.#options;
    if (topK > classes) throw refused(`logits has ${classes} classes a row, expected ${topK} or more (top_k)`);
    const bytes = bytesOf(logits);
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const scores = new Float32Array(rows * topK);
    const names: string[] = [];
    for (let row = 0; row < rows; row++) {
      const own = SCORES[name](values.subarray(row * classes, (row + 1) * classes));
      const best = [...own.keys()].sort((a, b) => (own[b] ?? 0) - (own[a] ?? 0) || a - b).slice(0, topK);
      for (const [rank, index] of best.entries()) {
        scores[row * topK + rank] = own[index] ?? 0;
        names.push(labels[index] ?? String(index));
      }
    }
    const shape = [rows, topK];
    return [
      { shape, data: names },
      { shape, data: bytesOfArray(scores) },
    ];
  }
}

const SCORES: Readonly<Record<LabelsOptions['function'], (logits: Float32Array) => Float64Array>> = {
  softmax(logits) {
    const most = logits.reduce((largest, value) => Math.max(largest, value), Number.NEGATIVE_INFINITY);
    const powers = Float64Array.from(logits, (value) => Math.exp(value - most));
    const sum = powers.reduce((total, value) => total + value, 0);
    return powers.map((value) => value / sum);
  },
  sigmoid: (logits) => Float64Array.from(logits, (value) => 1 / (1 + Math.exp(-value))),
  none: (logits) => Float64Array.from(logits),
};
