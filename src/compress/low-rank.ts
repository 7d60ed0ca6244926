/**
 * Large matrices as products of two thin ones, W ~ (W V) V', where the columns of V span the directions that W keeps most
 * of: its leading right singular vectors (Eckart and Young, 1936), found by subspace iteration (Halko, Martinsson and Tropp,
 * 2011, algorithm 4.4).
 */

import { seededRandom } from '../gateway/models/trial/synthetic-input.ts';
import type { NodeProto } from '../onnx/onnx_pb.ts';
import { CompressError } from './compress-error.ts';
import { foldConstants, transpose } from './folding.ts';
import { storesHalf, storeWeightsAsHalf } from './fp16-weights.ts';
import type { Compressed, Note } from './note.ts';
import { integerAttribute } from './onnx/attribute.ts';
import { Graph, nameOf } from './onnx/graph.ts';
import type { OnnxModel } from './onnx/model-file.ts';
import { DataType, floatsOf, shapeOf } from './onnx/tensor-values.ts';

/** @throws CompressError (`model`) where no matrix becomes smaller. */
export function lowerRank(model: OnnxModel, rank: number): Compressed {
  const graph = new Graph(model);
  const half = storesHalf(graph);
  foldConstants(graph);
  const notes: Note[] = [];
  for (const node of [...graph.nodes]) {
    if (node.domain !== '' || (node.opType !== 'Gemm' && node.opType !== 'MatMul')) continue;
    const about = { node: nameOf(node), opType: node.opType };
    const done = factor(graph, node, rank);
    notes.push(done.kind === 'kept' ? { ...about, ...done } : { ...about, kind: 'factored', text: done.text });
  }
  if (!notes.some(({ kind }) => kind === 'factored')) {
    const reasons = notes.map(({ node, text }) => `'${node}': ${text}`).join('; ');
    throw new CompressError(
      'model',
      `rank:${rank}: no matrix becomes smaller: ${reasons || 'there is no Gemm or MatMul'}`,
    );
  }
  if (half) storeWeightsAsHalf(graph);
  return { model: graph.toModel(`rank:${rank}`), notes };
}

function factor(graph: Graph, node: NodeProto, rank: number): { kind: 'kept' | 'factored'; text: string } {
  const [input = '', weight = ''] = node.input;
  const tensor = graph.constant(weight);
  const stored = tensor?.dataType === DataType.FLOAT ? floatsOf(tensor) : undefined;
  if (tensor === undefined || stored === undefined)
    return { kind: 'kept', text: 'its weights are no constants of float32' };
  const shape = shapeOf(tensor);
  if (shape.length !== 2) return { kind: 'kept', text: `its weights have ${shape.length} axes, and not 2` };
  if (integerAttribute(node, 'transA', 0) !== 0) return { kind: 'kept', text: 'its input is transposed' };
  const isTransposed = node.opType === 'Gemm' && integerAttribute(node, 'transB', 0) !== 0;
  const [rows = 0, columns = 0] = isTransposed ? shape.toReversed() : shape;
  const values = isTransposed ? transpose(stored, shape, [1, 0]) : stored;
  if (rank * (rows + columns) >= rows * columns) {
    return {
      kind: 'kept',
      text: `[${rows},${columns}] would not be smaller as [${rows},${rank}] and [${rank},${columns}]`,
    };
  }
  const { left, right, energy } = factorize(values, rows, columns, rank);
  const inner = graph.addNode('MatMul', graph.freshName(`${nameOf(node)}.rank${rank}`), [
    input,
    graph.addConstant(`${weight}.left`, left, [rows, rank]),
  ]);
  node.input = [inner, graph.addConstant(`${weight}.right`, right, [rank, columns]), ...node.input.slice(2)];
  node.attribute = node.attribute.filter(({ name }) => name !== 'transB');
  const kept = (100 * energy).toFixed(1);
  return { kind: 'factored', text: `[${rows},${columns}] as rank ${rank}, which keeps ${kept} % of its energy` };
}

export interface Factors {
  /** [rows,rank] and [rank,columns], row-major. */
  readonly left: Float32Array;
  readonly right: Float32Array;
  /** The share of the sum of squares that their product keeps. */
  readonly energy: number;
}

/** Rounds on the square of a matrix, which end where one gains less than `LEAST_GAIN` of the energy. */
const MAX_ROUNDS = 500;
/** Singular values that lie close together are separated slowly: each round then gains little, for many rounds. */
const LEAST_GAIN = 1e-6;
/** On the matrix itself, where its square is too large to be made: a round costs far more then. */
const FEW_ROUNDS = 6;
const MAX_GRAM_SIZE = 2048;

/** The best product of this rank for a matrix, nearly. The same matrix always gives the same. */
export function factorize(values: Float32Array, rows: number, columns: number, rank: number): Factors {
  // Eigenvectors of W'W or of WW', whichever is smaller.
  const isWide = columns > rows;
  const matrix = isWide ? transpose(values, [rows, columns], [1, 0]) : values;
  const [long, short] = isWide ? [columns, rows] : [rows, columns];
  const square = short <= MAX_GRAM_SIZE ? gram(matrix, long, short) : undefined;
  const random = seededRandom(1);
  // The vectors are its rows, each of `short` numbers.
  let basis: Float64Array = Float64Array.from({ length: rank * short }, () => random() - 0.5);
  orthonormalize(basis, rank, short);
  if (square === undefined) {
    for (let round = 0; round < FEW_ROUNDS; round++) {
      basis = timesGram(matrix, long, short, basis, rank);
      orthonormalize(basis, rank, short);
    }
  } else {
    const least = LEAST_GAIN * sumOfSquares(values);
    for (let round = 0, kept = 0, gain = Number.POSITIVE_INFINITY; round < MAX_ROUNDS && gain > least; round++) {
      const next = times(square, short, basis, rank);
      gain = dot(basis, next) - kept;
      kept += gain;
      basis = next;
      orthonormalize(basis, rank, short);
    }
  }
  const image = project(matrix, long, short, basis, rank);
  const energy = sumOfSquares(image) / Math.max(sumOfSquares(values), Number.MIN_VALUE);
  const directions = Float32Array.from(basis);
  if (!isWide) return { left: image, right: directions, energy };
  return {
    left: transpose(directions, [rank, short], [1, 0]),
    right: transpose(image, [long, rank], [1, 0]),
    energy,
  };
}

/** Rows of the matrix whose products are summed at once: memory is the limit, and so it is passed a quarter as often. */
const STRIP = 4;

/** W'W. */
function gram(matrix: Float32Array, long: number, short: number): Float64Array {
  const result = new Float64Array(short * short);
  // Rows of zeros behind the last make its strip whole.
  const strip = new Float64Array(STRIP * short);
  for (let row = 0; row < long; row += STRIP) {
    strip.fill(0).set(matrix.subarray(row * short, Math.min(row + STRIP, long) * short));
    const [first, second, third, fourth] = [0, 1, 2, 3].map((at) => strip.subarray(at * short, (at + 1) * short));
    if (first === undefined || second === undefined || third === undefined || fourth === undefined) break;
    for (let i = 0; i < short; i++) {
      const a = first[i] ?? 0;
      const b = second[i] ?? 0;
      const c = third[i] ?? 0;
      const d = fourth[i] ?? 0;
      const to = i * short;
      for (let j = i; j < short; j++) {
        const sum = a * (first[j] ?? 0) + b * (second[j] ?? 0) + c * (third[j] ?? 0) + d * (fourth[j] ?? 0);
        result[to + j] = (result[to + j] ?? 0) + sum;
      }
    }
  }
  for (let i = 0; i < short; i++) for (let j = 0; j < i; j++) result[i * short + j] = result[j * short + i] ?? 0;
  return result;
}

/** Multiplies a symmetric matrix by each vector. */
function times(square: Float64Array, size: number, vectors: Float64Array, count: number): Float64Array {
  const result = new Float64Array(count * size);
  for (let vector = 0; vector < count; vector++) {
    const from = vector * size;
    for (let i = 0; i < size; i++) {
      const at = i * size;
      let sum = 0;
      for (let j = 0; j < size; j++) sum += (square[at + j] ?? 0) * (vectors[from + j] ?? 0);
      result[from + i] = sum;
    }
  }
  return result;
}

/** W'(W v) of each vector. */
function timesGram(
  matrix: Float32Array,
  long: number,
  short: number,
  vectors: Float64Array,
  count: number,
): Float64Array {
  const result = new Float64Array(count * short);
  for (let row = 0; row < long; row++) {
    const at = row * short;
    for (let vector = 0; vector < count; vector++) {
      const from = vector * short;
      let sum = 0;
      for (let j = 0; j < short; j++) sum += (matrix[at + j] ?? 0) * (vectors[from + j] ?? 0);
      for (let j = 0; j < short; j++) result[from + j] = (result[from + j] ?? 0) + sum * (matrix[at + j] ?? 0);
    }
  }
  return result;
}

/** W V: [long,count]. */
function project(
  matrix: Float32Array,
  long: number,
  short: number,
  vectors: Float64Array,
  count: number,
): Float32Array {
  const result = new Float32Array(long * count);
  for (let row = 0; row < long; row++) {
    const at = row * short;
    for (let vector = 0; vector < count; vector++) {
      const from = vector * short;
      let sum = 0;
      for (let j = 0; j < short; j++) sum += (matrix[at + j] ?? 0) * (vectors[from + j] ?? 0);
      result[row * count + vector] = sum;
    }
  }
  return result;
}

/** Gram and Schmidt's, each vector twice, so that rounding leaves them orthogonal. */
function orthonormalize(vectors: Float64Array, count: number, size: number): void {
  for (let vector = 0; vector < count; vector++) {
    const own = vectors.subarray(vector * size, (vector + 1) * size);
    for (let pass = 0; pass < 2; pass++) {
      for (let before = 0; before < vector; before++) {
        const other = vectors.subarray(before * size, (before + 1) * size);
        const along = dot(own, other);
        for (let j = 0; j < size; j++) own[j] = (own[j] ?? 0) - along * (other[j] ?? 0);
      }
      const length = Math.sqrt(sumOfSquares(own));
      // The rest of a direction that the matrix does not have.
      if (length < 1e-150) own.fill(0);
      else for (let j = 0; j < size; j++) own[j] = (own[j] ?? 0) / length;
    }
  }
}

function dot(one: Float64Array, other: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += (one[at] ?? 0) * (other[at] ?? 0);
  return sum;
}

function sumOfSquares(values: Float32Array | Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}
