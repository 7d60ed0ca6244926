/**
 * Whether vectors of texts, or of other rows, are still good for a search: how far each is from the vector of the base, and how many of its
 * nearest neighbours are the same.
 */

import type { InferTensors } from '../gateway/admit/infer-tensors.ts';
import type { OutputTensor } from '../gateway/batch/queued-request.ts';
import type { ModelTensor } from '../gateway/repository/signature/row-axis.ts';
import { bytesOf } from '../wire/tensor-bytes.ts';
import { PoolingStep } from '../worker/steps/pooling.ts';
import { numbersOf } from './class-output.ts';
import type { EmbeddingQuality } from './report.ts';
import { DataError } from './sample.ts';
import type { VectorOutput } from './text-parts.ts';

/** Most neighbours of a row that count, as many as a page of results has. */
const MAX_NEIGHBOURS = 10;
/** With few rows, only the nearest fifth counts as neighbours: otherwise all other rows would be neighbours, and always kept. */
const NEAR_SHARE = 0.2;
/** Rows among which neighbours are looked for; the work grows with their square. */
const MAX_ROWS = 1_000;

const MASK = 'attention_mask';

/** Reads the vectors of one model's rows. */
export class Embedding {
  readonly output: string;
  readonly #pooling: PoolingStep | undefined;
  readonly #maskAt: number;

  /** @throws DataError where pooling lacks its mask */
  constructor({ name, pooling }: VectorOutput, inputs: readonly ModelTensor[]) {
    this.output = name;
    this.#pooling = pooling && new PoolingStep(pooling);
    this.#maskAt = inputs.findIndex((input) => input.name === MASK);
    if (pooling !== undefined && this.#maskAt < 0) {
      throw new DataError(`the model has no input ${MASK}, which pooling of '${name}' needs`);
    }
  }

  /** The vector of one row, of the length 1. @throws DataError where the output has none */
  vectorOf(outputs: readonly OutputTensor[], tensors: InferTensors): Float64Array {
    const output = outputs.find(({ name }) => name === this.output);
    if (output === undefined) throw new DataError(`the model has no output '${this.output}'`);
    const values = this.#pooling === undefined ? ownVector(output) : this.#pooled(this.#pooling, output, tensors);
    const norm = Math.hypot(...values);
    return Float64Array.from(values, (value) => (norm === 0 ? 0 : value / norm));
  }

  #pooled(pooling: PoolingStep, { name, datatype, shape, data }: OutputTensor, tensors: InferTensors): Float32Array {
    if (datatype !== 'FP32' || shape.length !== 3) {
      throw new DataError(`output '${name}' is ${datatype} [${shape}], and pooling takes FP32 [rows, length, width]`);
    }
    const mask = tensors.inputs[this.#maskAt];
    if (mask === undefined) throw new DataError(`a row has no ${MASK}`);
    const [pooled] = pooling.run([
      { shape, data: copyOf(data) },
      { shape: [...(tensors.shapes[this.#maskAt] ?? [])], data: copyOf(bytesOf(mask)) },
    ]);
    return new Float32Array(copyOf(pooled?.data as Uint8Array).buffer);
  }
}

/** Aligned for any typed array. */
function copyOf(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(data);
}

function ownVector({ name, datatype, shape, data }: OutputTensor): Float64Array {
  const numbers = numbersOf({ name, datatype, shape, data });
  const isVector = shape.slice(0, -1).every((size) => size === 1);
  if (numbers !== undefined && isVector && numbers.length > 1) return Float64Array.from(numbers);
  throw new DataError(
    `output '${name}' of a row is ${datatype} [${shape}], expected a vector of floating-point numbers`,
  );
}

/** Vectors of base and candidate, row by row. */
export class EmbeddingTally {
  readonly #base: Float64Array[] = [];
  readonly #own: Float64Array[] = [];

  see(base: Float64Array, own: Float64Array): void {
    if (base.length !== own.length) throw new DataError(`vectors have ${own.length} elements, expected ${base.length}`);
    this.#base.push(base);
    this.#own.push(own);
  }

  /** @returns `undefined` where no row was answered */
  quality(output: string): EmbeddingQuality | undefined {
    const cosines = this.#base.map((base, row) => cosine(base, this.#own[row] ?? base)).sort((a, b) => a - b);
    if (cosines.length === 0) return undefined;
    const base = some(this.#base);
    const own = some(this.#own);
    const count = Math.min(MAX_NEIGHBOURS, Math.ceil((base.length - 1) * NEAR_SHARE));
    const mine = own.map((_, row) => neighboursOf(own, row, count));
    const kept = base.map((_, row) => {
      const theirs = new Set(neighboursOf(base, row, count));
      return mine[row]?.filter((each) => theirs.has(each)).length ?? 0;
    });
    return {
      output,
      meanCosine: mean(cosines),
      worstCosine: cosines[Math.max(0, Math.ceil(cosines.length / 100) - 1)] ?? 0,
      neighbours: count,
      neighboursKept: count === 0 ? 1 : mean(kept) / count,
    };
  }
}

/** At most `MAX_ROWS`, from all over. */
function some(vectors: readonly Float64Array[]): readonly Float64Array[] {
  const step = Math.max(1, vectors.length / MAX_ROWS);
  return Array.from(
    { length: Math.min(vectors.length, MAX_ROWS) },
    (_, index) => vectors[Math.floor(index * step)],
  ).filter((vector) => vector !== undefined);
}

/** Rows with the largest cosine to `row`, without itself. */
function neighboursOf(vectors: readonly Float64Array[], row: number, count: number): number[] {
  const own = vectors[row] ?? new Float64Array(0);
  const others = vectors.map((vector, index) => ({ index, near: index === row ? -2 : cosine(own, vector) }));
  return others
    .sort((a, b) => b.near - a.near || a.index - b.index)
    .slice(0, count)
    .map(({ index }) => index);
}

/** Both have the length 1. Rounding may lead out of -1 to 1. */
function cosine(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] as number) * (b[at] as number);
  return Math.max(-1, Math.min(1, sum));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
