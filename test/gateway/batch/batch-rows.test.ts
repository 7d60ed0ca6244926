import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lognormal, seeded } from '../../../bench/simulate/random.ts';
import { UNIT_ROW } from '../../../src/gateway/admit/infer-tensors.ts';
import { mostRows, payingRows, rowsOfNext, targetRows } from '../../../src/gateway/batch/batch-rows.ts';
import { CostModel } from '../../../src/gateway/batch/cost-model.ts';
import type { BatchPolicy } from '../../../src/gateway/batch/waiting.ts';
import { bucket, NOW, waiting } from '../../support/waiting.ts';

const POLICY: BatchPolicy = { maxRows: 64, maxDelayMs: 0, preferredRows: [] };

/** A curve through measured points, as milliseconds by rows. */
function through(...points: readonly (readonly [rows: number, ms: number])[]) {
  return (rows: number): number => {
    const at = Math.max(
      1,
      points.findIndex(([size]) => size >= rows),
    );
    const [x0, y0] = points[at - 1] ?? [1, 0];
    const [x1, y1] = points[at] ?? [2, 0];
    return y0 + ((rows - x0) * (y1 - y0)) / (x1 - x0);
  };
}

const MINILM_128 = through([1, 17.6], [2, 32], [4, 74], [8, 152], [16, 313.6]);

describe('payingRows: a larger batch must answer more', () => {
  test.each([
    {
      name: 'a fixed cost is shared by as many as may',
      predict: (rows: number) => 1.9 + 0.14 * rows,
      allowed: 64,
      rows: 64,
    },
    { name: 'a row gets dearer beyond two', predict: MINILM_128, allowed: 16, rows: 2 },
    { name: 'a row always costs the same', predict: (rows: number) => 40 * rows, allowed: 16, rows: 1 },
    { name: 'a row gets cheaper by about 1 %', predict: (rows: number) => 0.9 + 41 * rows, allowed: 16, rows: 2 },
    {
      name: 'rows always cost the same, and so little that the work for a batch counts',
      predict: (rows: number) => 0.1 * rows,
      allowed: 64,
      rows: 64,
    },
    { name: 'the most is no power of two', predict: (rows: number) => 10 + 0.1 * rows, allowed: 48, rows: 48 },
    { name: 'nothing is known', predict: () => undefined, allowed: 16, rows: 16 },
  ])('$name', ({ predict, allowed, rows }) => {
    expect(payingRows({ predict }, allowed)).toBe(rows);
  });

  test('where larger sizes are not known, the next one is tried as long as a row still gets cheaper', () => {
    const knownTo = (most: number, time: (rows: number) => number) => (rows: number) =>
      rows <= most ? time(rows) : undefined;
    const steep = (rows: number): number => 10 + 0.1 * rows;
    expect(payingRows({ predict: knownTo(1, steep) }, 64)).toBe(2);
    expect(payingRows({ predict: knownTo(8, steep) }, 64)).toBe(16);
    expect(payingRows({ predict: knownTo(48, steep) }, 64)).toBe(64);
    expect(payingRows({ predict: knownTo(8, MINILM_128) }, 16)).toBe(2);
  });

  test.each([
    { name: 'rows always cost the same, and four of them fill the cache', perRowMs: 0.5, rows: 4 },
    { name: 'a row gets cheaper by more than its bytes cost', perRowMs: 0.5, fixedMs: 40, rows: 64 },
    { name: 'a row takes so long that its bytes do not count', perRowMs: 50, fixedMs: 5, rows: 8 },
  ])('large rows, $name: $rows rows', ({ perRowMs, fixedMs = 0, rows }) => {
    const predict = (size: number): number => fixedMs + perRowMs * size;
    expect(payingRows({ predict, rowBytes: 1_204_224 }, 64)).toBe(rows);
  });

  test('small rows, a full batch fits into the cache: it has as many as if bytes cost nothing', () => {
    const predict = (rows: number): number => 0.1 * rows;
    expect(payingRows({ predict, rowBytes: 65_536 }, 64)).toBe(payingRows({ predict }, 64));
  });

  test('no size answers more than 1.25 % more a millisecond of a core, whatever the curve', () => {
    const cost = (took: number, rows: number): number => (took + 0.25) / rows;
    const times = fc.array(fc.double({ min: 0.1, max: 100, noNaN: true }), { minLength: 64, maxLength: 64 });
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 64 }), (steps, allowed) => {
        const predict = (rows: number): number => steps.slice(0, rows).reduce((sum, step) => sum + step, 0);
        const rows = payingRows({ predict }, allowed);
        expect(rows).toBeLessThanOrEqual(allowed);
        for (const size of [1, 2, 4, 8, 16, 32, 64, allowed].filter((one) => one <= allowed)) {
          expect(cost(predict(rows), rows)).toBeLessThanOrEqual(1.0125 * cost(predict(size), size) + 1e-9);
        }
      }),
    );
  });
});

test.each([0.05, 0.1, 0.2])(
  'runs with noise of %f make no batch of a fast model smaller than half of the most',
  (noise) => {
    const random = seeded(11);
    const costs = new CostModel();
    const runMs = (rows: number): number => 0.2 + 0.1 * rows;
    for (let rows = 1; rows <= 64; rows *= 2)
      for (let run = 0; run < 2; run++) costs.observe(UNIT_ROW, rows, runMs(rows), 0, 0);
    let small = 0;
    for (let run = 0; run < 10_000; run++) {
      const paying = payingRows({ predict: (rows) => costs.predict(UNIT_ROW, rows, 0, 0) }, 64);
      if (paying < 32) small++;
      const rows = Math.min(paying, [16, 32, 48][run % 3] ?? 16);
      // A quarter more than on the idle machine of the warm-up.
      costs.observe(UNIT_ROW, rows, 1.25 * runMs(rows) * lognormal(noise, random), 0, 0);
    }
    expect(small).toBeLessThan(100);
  },
);

describe('mostRows', () => {
  const steep = (rows: number): number => 1.9 + 0.14 * rows;

  test('the outputs of a bucket may allow fewer rows than the policy', () => {
    expect(mostRows({ ...bucket(waiting(8), steep), maxRows: 5 }, POLICY)).toBe(5);
  });

  test("preferred sizes are the operator's: no curve changes them", () => {
    const flat = bucket(waiting(8), (rows) => 40 * rows);
    expect(mostRows(flat, POLICY)).toBe(1);
    expect(mostRows(flat, { ...POLICY, preferredRows: [4] })).toBe(64);
  });

  test('a batch of patient and impatient callers takes half the time of the impatient ones', () => {
    const mixed = (grantedMs: number) =>
      bucket(
        Array.from({ length: 80 }, (_, at) => ({
          rows: 1,
          arrivalMs: NOW - 1,
          deadline: NOW - 1 + (at % 2 === 0 ? grantedMs : 1_000),
        })),
        steep,
      );
    // 2 x (1.9 + 0.14 x 29) = 11.92 ms.
    expect(mostRows(mixed(12), POLICY)).toBe(29);
    expect(mostRows(mixed(1_000), POLICY)).toBe(64);
  });

  test('callers with hardly any time leave others at least 80 % of the rate of full batches', () => {
    const hasty = { rows: 1, arrivalMs: NOW, deadline: NOW + 4 };
    const rows = mostRows(bucket([hasty, ...waiting(80, NOW + 1_000)], steep), POLICY);
    expect(rows / steep(rows)).toBeGreaterThanOrEqual((0.8 * 64) / steep(64));
    expect((rows - 1) / steep(rows - 1)).toBeLessThan((0.8 * 64) / steep(64));
  });
});

test.each([
  { granted: 25, rows: 64 },
  { granted: 12, rows: 29 },
  { granted: 4.1, rows: 1 },
  { granted: 1, rows: 1 },
  { granted: Number.POSITIVE_INFINITY, rows: 64 },
])('two batches of the target fit into $granted ms: $rows rows', ({ granted, rows }) => {
  expect(targetRows((size) => 1.9 + 0.14 * size, 64, granted)).toBe(rows);
});

describe('rowsOfNext', () => {
  test.each([
    { name: 'one instance takes all', count: 6, idle: 1, rows: 6 },
    { name: 'two share what is too little for two batches', count: 7, idle: 2, rows: 4 },
    { name: 'each gets a full batch where there is enough', count: 128, idle: 2, rows: 64 },
  ])('idle instances divide what waits: $name', ({ count, idle, rows }) => {
    expect(rowsOfNext(bucket(waiting(count)), POLICY, 64, idle)).toBe(rows);
  });

  test('a size that turned out to be dear is left for a smaller one that pays', () => {
    // As measured on a model that computes in blocks of eight, which a row more doubles.
    const inBlocks = (rows: number): number => 10 * Math.ceil(rows / 8);
    expect(rowsOfNext(bucket(waiting(9), inBlocks), POLICY, 64, 1)).toBe(8);
    expect(rowsOfNext(bucket(waiting(16), inBlocks), POLICY, 64, 1)).toBe(16);
    expect(rowsOfNext(bucket(waiting(7), inBlocks), POLICY, 64, 1)).toBe(7);
  });

  test('a size that is dearer by no more than predictions err is not split', () => {
    expect(rowsOfNext(bucket(waiting(3), through([1, 10], [2, 18], [3, 27.3], [4, 36])), POLICY, 64, 1)).toBe(3);
    expect(rowsOfNext(bucket(waiting(3), through([1, 10], [2, 18], [3, 28.5], [4, 36])), POLICY, 64, 1)).toBe(2);
  });

  test('a policy that asks for large batches gets them', () => {
    const queue = bucket(waiting(9), (rows) => 10 * Math.ceil(rows / 8));
    expect(rowsOfNext(queue, { ...POLICY, maxDelayMs: 5 }, 64, 4)).toBe(64);
    expect(rowsOfNext(queue, { ...POLICY, preferredRows: [4] }, 64, 4)).toBe(64);
  });
});
