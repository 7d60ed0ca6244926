import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RowSize } from '../../../src/gateway/admit/infer-tensors.ts';
import { CostRegression } from '../../../src/gateway/batch/cost-regression.ts';

type Terms = readonly [fixed: number, perRow: number, perElement: number, perPair: number];

function costOf([fixed, perRow, perElement, perPair]: Terms, { elements, length }: RowSize, rows: number): number {
  return fixed + rows * (perRow + elements * (perElement + perPair * length));
}

function predicted(regression: CostRegression, size: RowSize, rows: number): number {
  return regression.fixedMs + rows * regression.rowMs(size);
}

const SIZES: readonly RowSize[] = [8, 32, 64, 128].map((length) => ({ elements: 2 * length, length }));
const ROWS = [1, 2, 4, 8, 16];

function learnAll(regression: CostRegression, terms: Terms): void {
  for (const size of SIZES) for (const rows of ROWS) regression.learn(size, rows, costOf(terms, size, rows));
}

const terms = fc.tuple(
  fc.double({ min: 0.01, max: 10, noNaN: true }),
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.double({ min: 0, max: 0.01, noNaN: true }),
  fc.double({ min: 0, max: 1e-4, noNaN: true }),
);

test('costs that consist of its terms are predicted for shapes and rows that it never saw', () => {
  fc.assert(
    fc.property(terms, (truth) => {
      const regression = new CostRegression();
      learnAll(regression, truth);
      for (const length of [16, 50, 100]) {
        const size = { elements: 2 * length, length };
        for (const rows of [3, 12]) {
          expect(predicted(regression, size, rows) / costOf(truth, size, rows)).toBeCloseTo(1, 1);
        }
      }
    }),
  );
});

test('thousands of runs of one batch leave what others cost as it is', () => {
  const truth: Terms = [3, 0.1, 0.02, 1e-4];
  const regression = new CostRegression();
  learnAll(regression, truth);
  const [usual = { elements: 1, length: 1 }] = SIZES;
  for (let run = 0; run < 10_000; run++) regression.learn(usual, 1, costOf(truth, usual, 1));
  for (const size of SIZES) {
    for (const rows of ROWS) expect(predicted(regression, size, rows) / costOf(truth, size, rows)).toBeCloseTo(1, 1);
  }
});

test('a change of all costs, which the pace follows at once, is learned within a thousand runs, all but a tenth', () => {
  const regression = new CostRegression();
  learnAll(regression, [3, 0.1, 0.02, 1e-4]);
  const slower: Terms = [6, 0.2, 0.04, 2e-4];
  for (let repeat = 0; repeat < 100; repeat++) learnAll(regression, slower);
  for (const size of SIZES) {
    for (const rows of ROWS)
      expect(predicted(regression, size, rows) / costOf(slower, size, rows)).toBeGreaterThan(0.9);
  }
});

test('whatever it learns, no term is negative', () => {
  const sample = fc.tuple(
    fc.constantFrom(...SIZES),
    fc.constantFrom(...ROWS),
    fc.double({ min: 0, max: 10_000, noNaN: true }),
  );
  fc.assert(
    fc.property(fc.array(sample, { minLength: 1, maxLength: 60 }), (samples) => {
      const regression = new CostRegression();
      for (const [size, rows, ms] of samples) regression.learn(size, rows, ms);
      expect(regression.fixedMs).toBeGreaterThanOrEqual(0);
      let previous = 0;
      for (const size of SIZES) {
        expect(regression.rowMs(size)).toBeGreaterThanOrEqual(previous);
        previous = regression.rowMs(size);
      }
      expect(Number.isFinite(predicted(regression, { elements: 1_000, length: 500 }, 64))).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('noise in short rows makes no minutes of rows a hundred times as long', () => {
  const noises = fc.array(fc.double({ min: 0, max: 0.3, noNaN: true }), { minLength: 60, maxLength: 60 });
  const lengths = [32, 128, 512];
  fc.assert(
    fc.property(noises, (noise) => {
      const regression = new CostRegression();
      let next = 0;
      for (const length of lengths) {
        for (const rows of ROWS) {
          const ms = costOf([0.2, 0.01, 1e-6, 0], { elements: length, length }, rows);
          regression.learn({ elements: length, length }, rows, ms + (noise[next++] ?? 0));
        }
      }
      const [longest, far] = [512, 51_200].map((length) => regression.rowMs({ elements: length, length }));
      // Twice as much an element, where the longest row was half pairs of elements.
      expect(far).toBeLessThanOrEqual(1.001 * 2 * 100 * (longest ?? 0));
    }),
  );
});
