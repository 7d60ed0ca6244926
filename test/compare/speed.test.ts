import { describe, expect, test } from 'vitest';
import type { Contender } from '../../src/compare/contender.ts';
import { measureSpeed } from '../../src/compare/speed.ts';
import { UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';

const ROWS = [0, 1, 2].map((value) => {
  return { rows: 1, bytes: 1, size: UNIT_ROW, bucket: '', inputs: [Uint8Array.of(value)], shapes: [[1, 1]] };
});

/** A model that says how long a batch took, without taking that long. */
function contender(msOf: (rows: number) => number, maxRows = 64, batches: number[][] = []): Contender {
  const time = async (rows: readonly { readonly inputs: readonly Uint8Array[] }[]) => {
    batches.push(rows.map(({ inputs }) => inputs[0]?.[0] ?? -1));
    return msOf(rows.length);
  };
  return { maxRows, time } as unknown as Contender;
}

const options = { signal: new AbortController().signal, progress: () => {} };

describe('speed', () => {
  test('is rows a second and a ratio to the base, for each batch size', async () => {
    const [base, half] = await measureSpeed(
      [contender((rows) => 20 * rows), contender((rows) => 10 * rows)],
      ROWS,
      options,
    );
    expect(base?.speed.map(({ batch }) => batch)).toEqual([1, 8, 32, 64]);
    for (const { itemsPerSecond, ratio } of base?.speed ?? []) {
      expect(itemsPerSecond).toEqual({ median: 50, min: 50, max: 50 });
      expect(ratio).toEqual({ median: 1, min: 1, max: 1 });
    }
    for (const { ratio } of half?.speed ?? []) expect(ratio.median).toBeCloseTo(2);
    expect(half?.latency).toMatchObject({ p50Ms: 10, p99Ms: 10 });
  });

  test('is measured in batches that all contenders take, filled with the rows that are given', async () => {
    const batches: number[][] = [];
    const measured = await measureSpeed([contender(() => 100, 64, batches), contender(() => 100, 8)], ROWS, options);
    for (const { speed } of measured) expect(speed.map(({ batch }) => batch)).toEqual([1, 8]);
    expect(new Set(batches.map((rows) => rows.length))).toEqual(new Set([1, 8]));
    expect(batches.find((rows) => rows.length === 8)).toEqual([0, 1, 2, 0, 1, 2, 0, 1]);
  });

  test('does not count the first round, nor a run that was held up', async () => {
    let runs = 0;
    const slowAtFirst = contender(() => (runs++ < 8 || runs % 5 === 0 ? 1_000 : 10), 1);
    const [measured] = await measureSpeed([slowAtFirst], ROWS, options);
    expect(measured?.speed[0]?.itemsPerSecond.median).toBeCloseTo(100);
    expect(measured?.latency.p50Ms).toBe(10);
    expect(measured?.latency.p99Ms).toBe(1_000);
  });

  test('reports each round, and ends at once when it is interrupted', async () => {
    const done: number[] = [];
    const abort = new AbortController();
    const progress = (round: number): void => {
      done.push(round);
      if (round === 2) abort.abort(new Error('interrupted'));
    };
    const measuring = measureSpeed([contender(() => 100, 1)], ROWS, { signal: abort.signal, progress });
    await expect(measuring).rejects.toThrow('interrupted');
    expect(done).toEqual([1, 2]);
  });
});
