/** Pooling: one vector of each row from the vectors of its tokens, as sentence-transformers computes it. */

import type { PoolingOptions } from '../step-spec.ts';
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

/** Numbers that sentence-transformers and torch use against a division by zero. */
const LEAST_COUNT = 1e-9;
const LEAST_NORM = 1e-12;

export class PoolingStep implements Step {
  readonly #options: PoolingOptions;

  constructor(options: PoolingOptions) {
    this.#options = options;
  }

  /** `last_hidden_state` FP32 [rows, length, width], `attention_mask` INT64 [rows, length] -> `sentence_embedding` FP32 [rows, width]. */
  describe(): StepDescription {
    const { width = 'width', dimensions } = this.#options;
    return {
      inputs: [
        tensorOf('last_hidden_state', 'FP32', ['batch', 'length', width]),
        tensorOf('attention_mask', 'INT64', ['batch', 'length']),
      ],
      outputs: [tensorOf('sentence_embedding', 'FP32', ['batch', dimensions ?? width])],
    };
  }

  run([states, mask]: readonly StepInput[]): readonly StepOutput[] {
    if (states === undefined || mask === undefined) throw new TypeError('expected two inputs');
    const [rows = 0, length = 0, width = 0] = states.shape;
    if (String(mask.shape) !== String([rows, length])) {
      throw refused(`attention_mask has the shape [${mask.shape}], expected [${rows},${length}] as last_hidden_state`);
    }
    const { mode, normalize, dimensions = width } = this.#options;
    if (dimensions > width)
      throw refused(`last_hidden_state has ${width} elements a token, expected ${dimensions} or more`);
    const bytes = bytesOf(states);
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const maskBytes = bytesOf(mask);
    const marks = new BigInt64Array(maskBytes.buffer, maskBytes.byteOffset, maskBytes.byteLength / 8);
    const pooled = new Float32Array(rows * dimensions);
    const sum = new Float64Array(dimensions);
    for (let row = 0; row < rows; row++) {
      const isToken = (token: number): boolean => marks[row * length + token] !== 0n;
      const tokens = values.subarray(row * length * width, (row + 1) * length * width);
      POOL[mode]({ tokens, length, width, isToken }, sum);
      if (normalize) scaleToOne(sum);
      pooled.set(sum, row * dimensions);
    }
    return [{ shape: [rows, dimensions], data: bytesOfArray(pooled) }];
  }
}

interface Row {
  /** [length, width] */
  readonly tokens: Float32Array;
  readonly length: number;
  readonly width: number;
  readonly isToken: (token: number) => boolean;
}

type Pool = (row: Row, into: Float64Array) => void;

const POOL: Readonly<Record<PoolingOptions['mode'], Pool>> = {
  mean({ tokens, length, width, isToken }, into) {
    into.fill(0);
    let count = 0;
    for (let token = 0; token < length; token++) {
      if (!isToken(token)) continue;
      count++;
      const from = token * width;
      for (let at = 0; at < into.length; at++) into[at] = (into[at] as number) + (tokens[from + at] as number);
    }
    const divisor = Math.max(count, LEAST_COUNT);
    for (let at = 0; at < into.length; at++) into[at] = (into[at] as number) / divisor;
  },
  cls({ tokens, length }, into) {
    if (length === 0) into.fill(0);
    else into.set(tokens.subarray(0, into.length));
  },
  last({ tokens, length, width, isToken }, into) {
    let last = length - 1;
    while (last >= 0 && !isToken(last)) last--;
    if (last < 0) into.fill(0);
    else into.set(tokens.subarray(last * width, last * width + into.length));
  },
  max({ tokens, length, width, isToken }, into) {
    into.fill(Number.NEGATIVE_INFINITY);
    let hasToken = false;
    for (let token = 0; token < length; token++) {
      if (!isToken(token)) continue;
      hasToken = true;
      const from = token * width;
      for (let at = 0; at < into.length; at++) into[at] = Math.max(into[at] as number, tokens[from + at] as number);
    }
    if (!hasToken) into.fill(0);
  },
};

function scaleToOne(vector: Float64Array): void {
  let squares = 0;
  for (let at = 0; at < vector.length; at++) squares += (vector[at] as number) ** 2;
  const norm = Math.max(Math.sqrt(squares), LEAST_NORM);
  for (let at = 0; at < vector.length; at++) vector[at] = (vector[at] as number) / norm;
}
