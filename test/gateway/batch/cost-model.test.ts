import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CNN,
  type Curve,
  GPU_LIKE,
  MINILM_32,
  MINILM_128,
  MLP_23MB,
  RESNET_50,
  runMs,
} from '../../../bench/simulate/curves.ts';
import { type RowSize, UNIT_ROW } from '../../../src/gateway/admit/infer-tensors.ts';
import { CostModel } from '../../../src/gateway/batch/cost-model.ts';
import { seededRandom } from '../../../src/gateway/models/trial/synthetic-input.ts';

const CURVES = [GPU_LIKE, MLP_23MB, MINILM_32, RESNET_50, CNN];
const SECOND = 1_000;

/** A cost model, the clock that it runs by, and the batches that it sees. */
class Bench {
  readonly model = new CostModel();
  nowMs = 0;
  readonly #random = seededRandom(7);

  run(size: RowSize, rows: number, elapsedMs: number, beside = 0): void {
    this.nowMs += elapsedMs;
    this.model.observe(size, rows, elapsedMs, this.nowMs, beside);
  }

  measure(size: RowSize, rows: number, elapsedMs: number): void {
    this.nowMs += elapsedMs;
    this.model.measure(size, rows, elapsedMs, this.nowMs);
  }

  predict(size: RowSize, rows: number, beside = 0): number {
    const predicted = this.model.predict(size, rows, this.nowMs, beside);
    if (predicted === undefined) throw new Error('nothing is predicted');
    return predicted;
  }

  /** Two runs of each of the sizes 1, 2, 4, …, as when a model is loaded. */
  sweep(costOf: (rows: number) => number, maxRows: number, size = UNIT_ROW): void {
    for (let rows = 1; ; rows = Math.min(2 * rows, maxRows)) {
      for (let run = 0; run < 2; run++) this.measure(size, rows, costOf(rows));
      if (rows === maxRows) return;
    }
  }

  /** A factor of log-normal noise. */
  noise(deviation: number): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.#random()));
    return Math.exp(deviation * radius * Math.cos(2 * Math.PI * this.#random()));
  }

  /** A whole number from 1. */
  upTo(most: number): number {
    return 1 + Math.floor(this.#random() * most);
  }

  happens(share: number): boolean {
    return this.#random() < share;
  }
}

function swept(curve: Curve): Bench {
  const bench = new Bench();
  bench.sweep((rows) => runMs(curve, rows), curve.maxRows);
  return bench;
}

describe('before anything is known', () => {
  test('nothing is predicted until the third run of the model', () => {
    const { model } = new Bench();
    for (const rows of [1, 2, 4]) {
      expect(model.predict(UNIT_ROW, 1, 0, 0)).toBeUndefined();
      model.observe(UNIT_ROW, rows, 5, 0, 0);
    }
    expect(model.predict(UNIT_ROW, 1, 0, 0)).toBeGreaterThan(0);
  });

  test('one size of batch shows that more rows take longer, though not more than in proportion', () => {
    const bench = new Bench();
    for (let run = 0; run < 5; run++) bench.run(UNIT_ROW, 4, 10);
    expect(bench.predict(UNIT_ROW, 8)).toBeGreaterThan(15);
    expect(bench.predict(UNIT_ROW, 8)).toBeLessThan(22.5);
    expect(bench.predict(UNIT_ROW, 1)).toBeLessThanOrEqual(11.5);
  });
});

describe.each(CURVES)('batches of $title', (curve) => {
  test('are predicted after a warm-up, those that it did not run among them', () => {
    const bench = swept(curve);
    for (let rows = 1; rows <= curve.maxRows; rows++) {
      const share = bench.predict(UNIT_ROW, rows) / runMs(curve, rows);
      expect(share).toBeGreaterThan(0.98);
      // The first runs under load are expected to vary by 10 %.
      expect(share).toBeLessThan(1.06 * Math.exp(2.1 * 0.1));
    }
  });

  test.each([0.03, 0.1, 0.25])(
    'with noise of %f: nine of ten end within the prediction, which is no wider than the noise',
    (deviation) => {
      const bench = swept(curve);
      let within = 0;
      let sum = 0;
      const runs = 2_000;
      for (let run = 0; run < runs; run++) {
        const rows = bench.upTo(curve.maxRows);
        const elapsedMs = runMs(curve, rows) * bench.noise(deviation);
        const predicted = bench.predict(UNIT_ROW, rows);
        if (elapsedMs <= predicted) within++;
        sum += predicted / runMs(curve, rows);
        bench.run(UNIT_ROW, rows, elapsedMs);
      }
      expect(within / runs).toBeGreaterThan(0.9);
      expect(sum / runs).toBeLessThan(1.05 * Math.exp(2.2 * deviation));
    },
  );

  test.each([1.6, 3])('that become %f times slower, and normal again, are followed both ways', (factor) => {
    const bench = swept(curve);
    const rows = Math.ceil(curve.maxRows / 2);
    const normalMs = runMs(curve, rows);
    for (let run = 0; run < 60; run++) bench.run(UNIT_ROW, rows, normalMs * bench.noise(0.05));
    for (let run = 0; run < 12; run++) bench.run(UNIT_ROW, rows, factor * normalMs * bench.noise(0.05));
    expect(bench.predict(UNIT_ROW, rows)).toBeGreaterThan(0.97 * factor * normalMs);
    expect(bench.predict(UNIT_ROW, rows)).toBeLessThan(1.3 * factor * normalMs);
    // The machine is slower, not this size only.
    expect(bench.predict(UNIT_ROW, 1)).toBeGreaterThan(0.9 * factor * runMs(curve, 1));
    for (let run = 0; run < 12; run++) bench.run(UNIT_ROW, rows, normalMs * bench.noise(0.05));
    expect(bench.predict(UNIT_ROW, rows)).toBeLessThan(1.2 * normalMs);
    expect(bench.predict(UNIT_ROW, rows)).toBeGreaterThan(0.97 * normalMs);
  });

  test('with a heavy tail: the usual run is predicted, not the exception', () => {
    const bench = swept(curve);
    for (let run = 0; run < 500; run++) {
      const stall = bench.happens(0.1) ? 5 : 1;
      bench.run(UNIT_ROW, 1, stall * runMs(curve, 1) * bench.noise(0.05));
    }
    expect(bench.predict(UNIT_ROW, 1)).toBeLessThan(1.4 * runMs(curve, 1));
  });
});

describe('a model whose rows get dearer in large batches', () => {
  test.each([0.03, 0.1])('is not forgotten to be one by 10,000 small batches with noise of %f', (deviation) => {
    const bench = swept(MINILM_128);
    for (let run = 0; run < 10_000; run++) {
      const rows = bench.upTo(2);
      bench.run(UNIT_ROW, rows, runMs(MINILM_128, rows) * bench.noise(deviation));
    }
    for (const rows of [8, 16]) {
      expect(bench.predict(UNIT_ROW, rows) / rows).toBeGreaterThan(1.02 * (bench.predict(UNIT_ROW, 2) / 2));
    }
  });
});

describe('noise', () => {
  test('is expected of the first runs under load, although the runs of the warm-up took equal times', () => {
    const bench = swept(CNN);
    let within = 0;
    for (let round = 0; round < 200; round++) {
      const fresh = swept(CNN);
      for (let run = 0; run < 5; run++) {
        const elapsedMs = runMs(CNN, 16) * bench.noise(0.1);
        if (elapsedMs <= fresh.predict(UNIT_ROW, 16)) within++;
        fresh.run(UNIT_ROW, 16, elapsedMs);
      }
    }
    expect(within / 1_000).toBeGreaterThan(0.8);
  });
});

describe('slow runs', () => {
  test('one stall, however long, leaves the prediction as it is', () => {
    const bench = new Bench();
    for (let run = 0; run < 40; run++) bench.run(UNIT_ROW, 1, 40);
    const before = bench.predict(UNIT_ROW, 1);
    for (const stall of [SECOND, 3_600 * SECOND]) {
      bench.model.observe(UNIT_ROW, 1, stall, bench.nowMs, 0);
      expect(bench.predict(UNIT_ROW, 1)).toBeLessThan(1.05 * before);
      for (let run = 0; run < 5; run++) bench.run(UNIT_ROW, 1, 40);
    }
  });

  test('that do not end are believed within twenty', () => {
    const bench = new Bench();
    for (let run = 0; run < 40; run++) bench.run(UNIT_ROW, 8, 10);
    for (let run = 0; run < 20; run++) bench.run(UNIT_ROW, 8, 100);
    expect(bench.predict(UNIT_ROW, 8)).toBeGreaterThan(95);
  });

  test('whatever they were, twelve normal runs put the prediction right', () => {
    const factor = fc.oneof(
      fc.constant(1),
      fc.double({ min: 1, max: 50, noNaN: true }),
      fc.constantFrom(2, 8, 25, 1_000),
    );
    const history = fc.array(fc.tuple(fc.nat(), factor, fc.integer({ min: 1, max: 20 })), { maxLength: 30 });
    fc.assert(
      fc.property(fc.constantFrom(...CURVES), fc.nat(), history, fc.boolean(), (curve, pick, slow, isSwept) => {
        const bench = isSwept ? swept(curve) : new Bench();
        for (const [at, times, count] of slow) {
          const rows = 1 + (at % curve.maxRows);
          for (let run = 0; run < count; run++) bench.run(UNIT_ROW, rows, times * runMs(curve, rows));
        }
        const rows = 1 + (pick % curve.maxRows);
        for (let run = 0; run < 12; run++) bench.run(UNIT_ROW, rows, runMs(curve, rows));
        expect(bench.predict(UNIT_ROW, rows) / runMs(curve, rows)).toBeGreaterThan(0.95);
        expect(bench.predict(UNIT_ROW, rows) / runMs(curve, rows)).toBeLessThan(1.2);
      }),
      {
        numRuns: 400,
        examples: [
          // A lesson of a new size comes between two updates of the predictions.
          [
            RESNET_50,
            0,
            [
              [14, 1, 8],
              [1, 2, 8],
              [14, 1_000, 8],
            ],
            false,
          ],
          // The second run of a model that was not measured is a stall.
          [
            GPU_LIKE,
            0,
            [
              [0, 1, 1],
              [1, 1_000, 1],
              [1, 1, 2],
            ],
            false,
          ],
        ],
      },
    );
  });

  test('at one size are forgotten when other sizes show that they are over', () => {
    const bench = swept(CNN);
    for (let run = 0; run < 12; run++) bench.run(UNIT_ROW, 1, 8 * runMs(CNN, 1));
    for (let run = 0; run < 12; run++) bench.run(UNIT_ROW, 8 + (run % 9), runMs(CNN, 8 + (run % 9)));
    expect(bench.predict(UNIT_ROW, 1)).toBeLessThan(2.5 * runMs(CNN, 1));
    expect(bench.predict(UNIT_ROW, 64)).toBeLessThan(1.5 * runMs(CNN, 64));
    for (let run = 0; run < 12; run++) bench.run(UNIT_ROW, 1, runMs(CNN, 1));
    expect(bench.predict(UNIT_ROW, 1)).toBeLessThan(1.2 * runMs(CNN, 1));
  });

  test('are forgotten after a pause: what ran before them is believed, and one old sample does not bring them back', () => {
    const bench = swept(CNN);
    for (let run = 0; run < 100; run++) bench.run(UNIT_ROW, 4, runMs(CNN, 4));
    for (let run = 0; run < 100; run++) bench.run(UNIT_ROW, 4, 10 * runMs(CNN, 4));
    expect(bench.predict(UNIT_ROW, 4)).toBeGreaterThan(9 * runMs(CNN, 4));
    bench.nowMs += 60 * SECOND;
    expect(bench.predict(UNIT_ROW, 4)).toBeLessThan(1.5 * runMs(CNN, 4));
    bench.run(UNIT_ROW, 4, runMs(CNN, 4));
    expect(bench.predict(UNIT_ROW, 4)).toBeLessThan(1.25 * runMs(CNN, 4));
  });
});

describe('shapes', () => {
  /** MiniLM-L6 on one core, by rows and tokens. */
  const textMs = (rows: number, length: number): number => 3 + 0.25 * rows * length + 3e-4 * rows * length ** 2;
  /** Two inputs: tokens and mask. */
  const textOf = (length: number): RowSize => ({ elements: 2 * length, length });

  test('that never ran are predicted from three lengths that did', () => {
    const bench = new Bench();
    for (const length of [8, 64, 256]) bench.sweep((rows) => textMs(rows, length), 16, textOf(length));
    for (const length of [5, 16, 33, 100, 128, 200, 400]) {
      for (const rows of [1, 3, 8, 16]) {
        const share = bench.predict(textOf(length), rows) / textMs(rows, length);
        expect(share).toBeGreaterThan(0.85);
        expect(share).toBeLessThan(1.25);
      }
    }
  });

  test('are predicted from one that ran in proportion to their elements, within a factor of two', () => {
    const bench = new Bench();
    bench.sweep((rows) => textMs(rows, 64), 16, textOf(64));
    for (const length of [16, 32, 128, 256]) {
      const share = bench.predict(textOf(length), 4) / textMs(4, length);
      expect(share).toBeGreaterThan(0.5);
      expect(share).toBeLessThan(2);
    }
  });

  test('however many they are, none is forgotten', () => {
    const bench = new Bench();
    for (let run = 0; run < 5_000; run++) {
      const length = 3 + bench.upTo(500);
      const rows = bench.upTo(16);
      bench.run(textOf(length), rows, textMs(rows, length) * bench.noise(0.1));
    }
    for (let length = 4; length <= 503; length++) {
      const share = bench.predict(textOf(length), 4) / textMs(4, length);
      expect(share).toBeGreaterThan(0.85);
      expect(share).toBeLessThan(1.7);
    }
  });

  test('large batches stay known while thousands of single rows run', () => {
    const bench = swept(MLP_23MB);
    for (let run = 0; run < 5_000; run++) bench.run(UNIT_ROW, 1, runMs(MLP_23MB, 1) * bench.noise(0.05));
    expect(bench.predict(UNIT_ROW, 64)).toBeGreaterThan(0.9 * runMs(MLP_23MB, 64));
    expect(bench.predict(UNIT_ROW, 64)).toBeLessThan(1.8 * runMs(MLP_23MB, 64));
  });

  test.each([0.02, 0.1])(
    'batches whose rows are dearer stay dear while thousands of small ones run with noise of %f',
    (deviation) => {
      const bench = swept(MINILM_128);
      const perRow = (rows: number): number => bench.predict(UNIT_ROW, rows) / rows;
      for (let run = 0; run < 10_000; run++) {
        const rows = bench.upTo(2);
        bench.run(UNIT_ROW, rows, runMs(MINILM_128, rows) * bench.noise(deviation));
        if (run % 100 > 0) continue;
        for (const large of [4, 8, 16]) expect(perRow(large)).toBeGreaterThan(1.02 * perRow(2));
      }
    },
  );

  test('what slow runs taught of a large size is forgotten in the end, though it never runs again', () => {
    const bench = swept(CNN);
    for (let run = 0; run < 2; run++) bench.run(UNIT_ROW, 64, 3 * runMs(CNN, 64));
    for (let run = 0; run < 40_000; run++) {
      const rows = bench.upTo(32);
      bench.run(UNIT_ROW, rows, runMs(CNN, rows) * bench.noise(0.02));
    }
    expect(bench.predict(UNIT_ROW, 64)).toBeLessThan(1.15 * runMs(CNN, 64));
  });

  test('that cost more than the regression says are learned by themselves', () => {
    const bench = new Bench();
    const costOf = (rows: number, length: number): number => textMs(rows, length) * (length === 100 ? 1.5 : 1);
    for (let run = 0; run < 2_000; run++) {
      const length = [20, 50, 100, 200][run % 4] ?? 20;
      const rows = bench.upTo(4);
      bench.run(textOf(length), rows, costOf(rows, length) * bench.noise(0.03));
    }
    for (const length of [20, 50, 100, 200]) {
      const share = bench.predict(textOf(length), 2) / costOf(2, length);
      expect(share).toBeGreaterThan(0.95);
      expect(share).toBeLessThan(1.25);
    }
  });
});

test.each([0.5, 1, 3])(
  'at %f times the usual time, the usual prediction is the prediction without the slowness',
  (factor) => {
    const bench = swept(CNN);
    for (let run = 0; run < 200; run++) bench.run(UNIT_ROW, 8, factor * runMs(CNN, 8) * bench.noise(0.1));
    for (const rows of [1, 8, 40, 64]) {
      const usual = bench.model.predictUsual(UNIT_ROW, rows, 0) ?? Number.NaN;
      expect(usual * bench.model.slowness).toBeCloseTo(bench.predict(UNIT_ROW, rows), 9);
      // It does not age: only the pace does.
      bench.nowMs += 60 * SECOND;
      expect(bench.model.predictUsual(UNIT_ROW, rows, 0)).toBe(usual);
      bench.nowMs -= 60 * SECOND;
    }
  },
);

describe('COST-1: sizes keep their proportions', () => {
  test.each([
    { factor: 1, deviation: 0.05 },
    { factor: 1.25, deviation: 0.15 },
    { factor: 3, deviation: 0.1 },
  ])('while a few of them run $factor times slower than in the warm-up, with noise of $deviation', (machine) => {
    const bench = swept(CNN);
    const share = (rows: number): number => bench.predict(UNIT_ROW, rows) / runMs(CNN, rows);
    for (let run = 1; run <= 20_000; run++) {
      const rows = [16, 32, 48][run % 3] ?? 16;
      bench.run(UNIT_ROW, rows, machine.factor * runMs(CNN, rows) * bench.noise(machine.deviation));
      if (![50, 200, 1_000, 5_000, 20_000].includes(run)) continue;
      for (const other of [1, 2, 4, 8, 64]) {
        expect(share(other) / share(32)).toBeGreaterThan(0.93);
        expect(share(other) / share(32)).toBeLessThan(1.08);
      }
    }
  });

  test('the level follows a pace that lasts, so that it is no slowness any more', () => {
    const bench = swept(CNN);
    for (let run = 0; run < 100; run++) bench.run(UNIT_ROW, 32, 2 * runMs(CNN, 32));
    expect(bench.model.slowness).toBeGreaterThan(1.4);
    for (let run = 0; run < 10_000; run++) bench.run(UNIT_ROW, 32, 2 * runMs(CNN, 32));
    expect(bench.model.slowness).toBeLessThan(1.1);
    expect(bench.predict(UNIT_ROW, 32) / runMs(CNN, 32)).toBeCloseTo(2, 1);
  });
});

describe('runs that share the cores', () => {
  test('are predicted by how many there are, and teach nothing wrong of those that run by themselves', () => {
    const bench = swept(CNN);
    for (let run = 0; run < 90; run++) {
      const beside = run % 3;
      bench.run(UNIT_ROW, 4, runMs(CNN, 4) * (1 + 0.9 * beside), beside);
    }
    for (const beside of [0, 1, 2]) {
      const share = bench.predict(UNIT_ROW, 8, beside) / (runMs(CNN, 8) * (1 + 0.9 * beside));
      expect(share).toBeGreaterThan(0.95);
      expect(share).toBeLessThan(1.15);
    }
    expect(bench.predict(UNIT_ROW, 4, 7)).toBeGreaterThanOrEqual(bench.predict(UNIT_ROW, 4, 2));
  });

  test('whose number was never seen count as the next lower one', () => {
    const bench = swept(CNN);
    expect(bench.predict(UNIT_ROW, 4, 3)).toBe(bench.predict(UNIT_ROW, 4));
  });
});

describe('the fastest run', () => {
  test('is the fastest of such a batch, or of a smaller one, that ever was', () => {
    const { model } = new Bench();
    expect(model.fastest(UNIT_ROW, 1)).toBeUndefined();
    for (const [rows, elapsedMs] of [
      [2, 5],
      [2, 4],
      [2, 90],
      [8, 12],
      [8, 11],
    ] as const) {
      model.observe(UNIT_ROW, rows, elapsedMs, 0, 0);
    }
    expect(model.fastest(UNIT_ROW, 1)).toBeUndefined();
    expect(model.fastest(UNIT_ROW, 2)).toBe(4);
    expect(model.fastest(UNIT_ROW, 3)).toBe(4);
    expect(model.fastest(UNIT_ROW, 8)).toBe(11);
    expect(model.fastest(UNIT_ROW, 64)).toBe(11);
    expect(model.fastest({ elements: 2, length: 1 }, 2)).toBeUndefined();
  });

  test('is never slower for a smaller batch than for a larger one', () => {
    const { model } = new Bench();
    model.observe(UNIT_ROW, 1, 900, 0, 0);
    model.observe(UNIT_ROW, 8, 40, 0, 0);
    expect(model.fastest(UNIT_ROW, 1)).toBe(40);
  });
});

describe('whatever it has seen', () => {
  const size = fc.constantFrom<RowSize>(
    UNIT_ROW,
    { elements: 64, length: 32 },
    { elements: 1_000_000, length: 1_000 },
    { elements: 0, length: 1 },
  );
  const seen = fc.record({
    size,
    rows: fc.integer({ min: 1, max: 64 }),
    elapsedMs: fc.double({ min: 0, max: 100_000, noNaN: true }),
    pauseMs: fc.constantFrom(0, 1, 100_000),
    beside: fc.nat(3),
  });

  test('every prediction is positive and finite, and more rows never take less time', () => {
    fc.assert(
      fc.property(fc.array(seen, { minLength: 3, maxLength: 80 }), size, fc.nat(4), (history, asked, beside) => {
        const bench = new Bench();
        for (const run of history) {
          bench.run(run.size, run.rows, run.elapsedMs, run.beside);
          bench.nowMs += run.pauseMs;
        }
        let previous = 0;
        for (let rows = 1; rows <= 80; rows++) {
          const next = bench.predict(asked, rows, beside);
          expect(next).toBeGreaterThanOrEqual(previous * (1 - 1e-12));
          previous = next;
        }
        expect(previous).toBeGreaterThan(0);
        expect(Number.isFinite(previous)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the learned costs', () => {
  test('are the sizes that were run, with the shape that ran last first', () => {
    const bench = new Bench();
    const long: RowSize = { elements: 64, length: 64 };
    for (let round = 0; round < 4; round++) {
      for (const rows of [1, 4]) bench.run(UNIT_ROW, rows, 2 * rows);
      bench.run(long, 2, 40);
    }
    const { learned } = bench.model;
    expect(learned.map(({ size, rows }) => [size.length, rows])).toEqual([
      [64, 2],
      [1, 1],
      [1, 4],
    ]);
    for (const { ms, fastestMs } of learned) expect(ms).toBeGreaterThanOrEqual(fastestMs * 0.9);
    expect(learned[0]?.fastestMs).toBe(40);
  });

  test('are none before the first run', () => {
    expect(new CostModel().learned).toEqual([]);
  });
});
