import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LatencyModel } from '../../../src/gateway/batch/latency-model.ts';
import { seededRandom } from '../../../src/gateway/dispatch/synthetic-input.ts';

/** A model that has seen `count` batches of each size, taking `cost(rows)` milliseconds, up to the moment 0. */
function taught(cost: (rows: number) => number, sizes: readonly number[], count = 5): LatencyModel {
  const model = new LatencyModel();
  for (let repeat = 0; repeat < count; repeat++) for (const rows of sizes) model.observe(rows, cost(rows), 0);
  return model;
}

function predicted(model: LatencyModel, rows: number, nowMs = 0): number {
  const value = model.predict(rows, nowMs);
  if (value === undefined) throw new Error('nothing is predicted');
  return value;
}

const linear = (rows: number): number => 2 + 0.25 * rows;

describe('before it knows enough', () => {
  test('nothing is predicted until the third sample', () => {
    const model = new LatencyModel();
    expect(model.predict(1, 0)).toBeUndefined();
    model.observe(1, 5, 0);
    model.observe(2, 6, 0);
    expect(model.predict(1, 0)).toBeUndefined();
    model.observe(4, 8, 0);
    expect(model.predict(1, 0)).toBeDefined();
  });

  test('nothing is predicted from samples of 30 seconds ago, until a new one', () => {
    const model = taught(linear, [1, 8]);
    expect(model.predict(1, 30_000)).toBeDefined();
    expect(model.predict(1, 30_001)).toBeUndefined();
    model.observe(1, linear(1), 60_000);
    expect(model.predict(8, 60_001)).toBeDefined();
  });
});

describe('what it learns', () => {
  test('the time of each size that was run', () => {
    const model = taught(linear, [1, 2, 4, 8, 16], 40);
    for (const rows of [1, 2, 4, 8, 16]) expect(predicted(model, rows)).toBeCloseTo(linear(rows), 3);
  });

  test('sizes between those and beyond, along a line', () => {
    const model = taught(linear, [1, 4, 16], 40);
    for (const rows of [2, 3, 8, 12, 32, 64]) expect(predicted(model, rows)).toBeCloseTo(linear(rows), 1);
  });

  test('one size alone says that more rows take proportionally longer, and fewer not less', () => {
    const model = taught(() => 10, [4], 5);
    expect(predicted(model, 8)).toBeCloseTo(20);
    expect(predicted(model, 1)).toBeCloseTo(10);
  });

  test('a curve that is no line, at the sizes that were run', () => {
    const steps = (rows: number): number => (rows <= 4 ? 1 : 9);
    const model = taught(steps, [1, 4, 5, 8], 60);
    expect(predicted(model, 4)).toBeLessThan(4);
    expect(predicted(model, 5)).toBeGreaterThan(7);
  });

  test('noise widens the margin: 19 of 20 runs end within the prediction', () => {
    const random = seededRandom(7);
    const model = new LatencyModel();
    let within = 0;
    for (let run = 0; run < 2_000; run++) {
      // Three uniform numbers make something like a normal one, of mean 10 and deviation 1.
      const elapsed = 10 + 2 * (random() + random() + random() - 1.5);
      if (run >= 100 && elapsed <= predicted(model, 4)) within++;
      model.observe(4, elapsed, 0);
    }
    expect(within / 1_900).toBeGreaterThan(0.9);
    expect(predicted(model, 4)).toBeLessThan(14);
  });
});

describe('when the world changes', () => {
  test('a model that becomes 1.6 times slower is followed within 20 batches', () => {
    const model = taught(linear, [1, 2, 4, 8, 16], 40);
    for (let batch = 0; batch < 20; batch++) model.observe(8, linear(8) * 1.6, 0);
    expect(predicted(model, 8)).toBeGreaterThan(linear(8) * 1.6);
    expect(predicted(model, 8)).toBeLessThan(linear(8) * 1.6 * 1.5);
  });

  test('a model that becomes 1.6 times faster is followed, too, more carefully', () => {
    const model = taught(linear, [1, 2, 4, 8, 16], 40);
    for (let batch = 0; batch < 40; batch++) model.observe(8, linear(8) / 1.6, 0);
    expect(predicted(model, 8)).toBeGreaterThan(linear(8) / 1.6);
    expect(predicted(model, 8)).toBeLessThan((linear(8) / 1.6) * 1.45);
  });

  test('one stalled run, however long, does not even double the prediction', () => {
    const model = taught(linear, [8], 40);
    const before = predicted(model, 8);
    model.observe(8, 3_600_000, 0);
    expect(predicted(model, 8)).toBeLessThan(before * 2);
    expect(predicted(model, 8)).toBeGreaterThan(before);
  });

  test('a stall that stays is believed', () => {
    const model = taught(linear, [8], 40);
    for (let batch = 0; batch < 40; batch++) model.observe(8, 100, 0);
    expect(predicted(model, 8)).toBeGreaterThan(90);
  });
});

describe('whatever it has seen', () => {
  const history = fc.array(fc.tuple(fc.integer({ min: 1, max: 64 }), fc.double({ min: 0, max: 1_000, noNaN: true })), {
    minLength: 3,
    maxLength: 60,
  });

  test('more rows never take less time, and no time is negative', () => {
    fc.assert(
      fc.property(history, (samples) => {
        const model = new LatencyModel();
        for (const [rows, elapsedMs] of samples) model.observe(rows, elapsedMs, 0);
        let previous = 0;
        for (let rows = 1; rows <= 80; rows++) {
          const next = predicted(model, rows);
          expect(next).toBeGreaterThanOrEqual(previous);
          previous = next;
        }
        expect(Number.isFinite(previous)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('a prediction is never below the least that was seen of its size, less rounding', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.5, max: 2, noNaN: true }), { minLength: 3, maxLength: 40 }), (times) => {
        const model = new LatencyModel();
        for (const elapsedMs of times) model.observe(4, elapsedMs, 0);
        expect(predicted(model, 4)).toBeGreaterThanOrEqual(Math.min(...times) * 0.999);
      }),
    );
  });
});
