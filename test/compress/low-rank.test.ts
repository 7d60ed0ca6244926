import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compress } from '../../src/compress/compress.ts';
import { factorize } from '../../src/compress/low-rank.ts';
import { encodeOnnxModel } from '../../src/compress/onnx/model-file.ts';
import { outputsOf, randomFeeds } from '../support/model-runs.ts';
import { defectsOf, Network, operatorsOf } from '../support/network.ts';

/** A matrix of orthogonal directions with these strengths: the cosines of the discrete transform. */
function matrixOf(rows: number, columns: number, strengths: readonly number[]): Float32Array {
  const direction = (size: number, number: number, at: number): number =>
    Math.sqrt((number === 0 ? 1 : 2) / size) * Math.cos((Math.PI * (at + 0.5) * number) / size);
  return Float32Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    return strengths.reduce(
      (sum, strength, number) => sum + strength * direction(rows, number, row) * direction(columns, number, column),
      0,
    );
  });
}

function product(left: Float32Array, right: Float32Array, rows: number, columns: number, rank: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += (left[row * rank + k] ?? 0) * (right[k * columns + column] ?? 0);
    return sum;
  });
}

function distance(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, value, at) => sum + (value - (b[at] ?? 0)) ** 2, 0));
}

describe('a matrix of known singular values', () => {
  const strengths = [8, 5, 3, 1, 0.5, 0.25];

  test.each([
    [40, 12],
    [12, 40],
    [20, 20],
  ])('[%i,%i] loses exactly those that its rank has no room for', (rows, columns) => {
    const matrix = matrixOf(rows, columns, strengths);
    for (const rank of [1, 2, 3, 5]) {
      const { left, right, energy } = factorize(matrix, rows, columns, rank);
      const lost = Math.hypot(...strengths.slice(rank));
      const whole = Math.hypot(...strengths);
      expect(distance(product(left, right, rows, columns, rank), matrix)).toBeCloseTo(lost, 4);
      expect(energy).toBeCloseTo(1 - (lost / whole) ** 2, 5);
    }
  });

  test('is whole again with rank enough, whatever more there is', () => {
    const matrix = matrixOf(16, 10, strengths);
    const { left, right, energy } = factorize(matrix, 16, 10, 9);
    expect(distance(product(left, right, 16, 10, 9), matrix)).toBeLessThan(1e-5);
    expect(energy).toBeCloseTo(1, 6);
  });
});

test('no product of the rank is nearer than what a random matrix becomes, within two percent', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 6 }), (seed, rank) => {
      const [rows, columns] = [24, 10];
      const { random } = new Network(seed);
      const matrix = Float32Array.from({ length: rows * columns }, () => random() * 2 - 1);
      const { left, right } = factorize(matrix, rows, columns, rank);
      const off = distance(product(left, right, rows, columns, rank), matrix);
      // The best is the root of the smallest eigenvalues of W'W: their sum is what the largest leave of the trace.
      const best = Math.sqrt(smallestEigenvalues(matrix, rows, columns, columns - rank));
      expect(off).toBeLessThanOrEqual(best * 1.02 + 1e-4);
    }),
    { numRuns: 30 },
  );
});

/** The sum of the smallest `count` eigenvalues of W'W, by Jacobi's rotations. */
function smallestEigenvalues(matrix: Float32Array, rows: number, columns: number, count: number): number {
  const gram = Array.from({ length: columns }, (_, i) =>
    Array.from({ length: columns }, (__, j) => {
      let sum = 0;
      for (let row = 0; row < rows; row++) sum += (matrix[row * columns + i] ?? 0) * (matrix[row * columns + j] ?? 0);
      return sum;
    }),
  );
  const at = (i: number, j: number): number => gram[i]?.[j] ?? 0;
  const put = (i: number, j: number, value: number): void => {
    const row = gram[i];
    if (row !== undefined) row[j] = value;
  };
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < columns; p++) {
      for (let q = p + 1; q < columns; q++) {
        const angle = 0.5 * Math.atan2(2 * at(p, q), at(q, q) - at(p, p));
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let k = 0; k < columns; k++) {
          const [a, b] = [at(k, p), at(k, q)];
          put(k, p, c * a - s * b);
          put(k, q, s * a + c * b);
        }
        for (let k = 0; k < columns; k++) {
          const [a, b] = [at(p, k), at(q, k)];
          put(p, k, c * a - s * b);
          put(q, k, s * a + c * b);
        }
      }
    }
  }
  const values = gram.map((_, i) => at(i, i)).sort((a, b) => a - b);
  return Math.max(
    0,
    values.slice(0, count).reduce((sum, value) => sum + value, 0),
  );
}

describe('rank:N of a network', () => {
  /** A matrix of rank 4 in front of others, by MatMul or by Gemm either way round. */
  function networkOf(kind: 'MatMul' | 'Gemm' | 'transposed') {
    const network = new Network(5);
    const weights = matrixOf(40, 30, [6, 4, 2, 1]);
    const turned = Float32Array.from({ length: 1200 }, (_, i) => weights[(i % 40) * 30 + Math.floor(i / 40)] ?? 0);
    const weight =
      kind === 'transposed' ? network.constant('w', turned, [30, 40]) : network.constant('w', weights, [40, 30]);
    const bias = network.weights('b', [30]);
    const attributes = { ...(kind === 'transposed' && { transB: 1 }), alpha: { float: 0.5 } };
    const hidden =
      kind === 'MatMul' ? network.add('MatMul', ['x', weight]) : network.add('Gemm', ['x', weight, bias], attributes);
    const output = network.gemm(network.add('Relu', [hidden]), 30, 2);
    return network.model([{ name: 'x', axes: ['rows', 40] }], [{ name: output, axes: ['rows', 2] }]);
  }

  test.each(['MatMul', 'Gemm', 'transposed'] as const)('%s: answers as before where nothing is lost', async (kind) => {
    const model = networkOf(kind);
    const { model: thin, notes } = compress(model, { kind: 'rank', rank: 4 });
    expect(defectsOf(thin)).toEqual([]);
    expect(notes.map(({ kind: what }) => what)).toEqual(['factored', 'kept']);
    expect(notes[0]?.text).toBe('[40,30] as rank 4, which keeps 100.0 % of its energy');
    expect(notes[1]?.text).toBe('[30,2] would not be smaller as [30,4] and [4,2]');
    expect(encodeOnnxModel(thin, 'thin').length).toBeLessThan(encodeOnnxModel(model, 'model').length / 2);
    expect(operatorsOf(thin).slice(0, 2)).toEqual(['MatMul', kind === 'MatMul' ? 'MatMul' : 'Gemm']);
    const feeds = [randomFeeds('x', [3, 40], new Network(1).random)];
    const [before] = await outputsOf(model, feeds);
    const [after] = await outputsOf(thin, feeds);
    for (const [at, value] of after?.entries() ?? []) expect(value).toBeCloseTo(before?.[at] ?? Number.NaN, 4);
  });

  test('is refused where no matrix becomes smaller, by name', () => {
    expect(() => compress(networkOf('Gemm'), { kind: 'rank', rank: 20 })).toThrow(
      "rank:20: no matrix becomes smaller: 'node_gemm0': [40,30] would not be smaller as [40,20] and [20,30]",
    );
    const network = new Network();
    const model = network.model([{ name: 'x', axes: [1] }], [{ name: network.add('Relu', ['x']), axes: [1] }]);
    expect(() => compress(model, { kind: 'rank', rank: 1 })).toThrow('there is no Gemm or MatMul');
  });
});
