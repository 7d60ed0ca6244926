import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RowSize } from '../../../src/gateway/admit/infer-tensors.ts';
import { type PredictRows, paddedSize, withFirst } from '../../../src/gateway/batch/length-runs.ts';

interface Text {
  readonly rows: number;
  readonly tensors: { readonly size: RowSize };
}

function text(length: number, rows = 1): Text {
  return { rows, tensors: { size: { elements: 2 * length, length } } };
}

/** A fixed cost a run, and one an element, as a text encoder has on a CPU. */
function costing(fixedMs: number, elementMs: number): PredictRows {
  return ({ length }, rows) => fixedMs + elementMs * length * rows;
}

function lengthsOf(texts: readonly Text[]): number[] {
  return texts.map(({ tensors }) => tensors.size.length);
}

describe('requests of a batch', () => {
  const mixed = [text(30), text(36), text(29), text(35), text(36)];

  test('run together where a run of their own costs more than padding', () => {
    expect(withFirst(mixed, costing(100, 0.1))).toEqual(mixed);
  });

  test('run with requests of nearly the same length where padding costs more than a run', () => {
    expect(lengthsOf(withFirst(mixed, costing(0.5, 0.25)))).toEqual([30, 29]);
    expect(lengthsOf(withFirst(mixed.toReversed(), costing(0.5, 0.25)))).toEqual([36, 35, 36]);
  });

  test('run by their exact lengths where runs cost nothing', () => {
    expect(lengthsOf(withFirst(mixed, costing(0, 1)))).toEqual([30]);
  });

  test('run together while the cost is not known', () => {
    expect(withFirst(mixed, () => undefined)).toBe(mixed);
  });

  test('with one length are never parted, nor predicted', () => {
    const same = [text(9), text(9, 3)];
    const predict = (): never => {
      throw new Error('there is nothing to decide');
    };
    expect(withFirst(same, predict)).toBe(same);
  });

  test('have the size of the longest', () => {
    expect(paddedSize(mixed)).toEqual({ elements: 72, length: 36 });
  });

  const batches = fc.record({
    texts: fc.array(fc.record({ length: fc.integer({ min: 1, max: 12 }), rows: fc.integer({ min: 1, max: 3 }) }), {
      minLength: 1,
      maxLength: 8,
    }),
    fixed: fc.double({ min: 0, max: 20, noNaN: true }),
    element: fc.double({ min: 0.01, max: 2, noNaN: true }),
  });

  test('run one group after the other, each once, in the least time that any parting by length takes', () => {
    fc.assert(
      fc.property(batches, ({ texts, fixed, element }) => {
        const cost = costing(fixed, element);
        const msOf = (group: readonly Text[]): number => cost(paddedSize(group), rowsOf(group)) ?? 0;
        let waiting = texts.map(({ length, rows }) => text(length, rows));
        const least = leastMs(waiting, msOf);
        let took = 0;
        while (waiting.length > 0) {
          const group = withFirst(waiting, cost);
          expect(group[0]).toBe(waiting[0]);
          took += msOf(group);
          const rest = waiting.filter((each) => !group.includes(each));
          expect(rest.length + group.length).toBe(waiting.length);
          waiting = rest;
        }
        expect(took).toBeCloseTo(least, 6);
      }),
    );
  });

  test('with any lengths need few predictions', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 2, maxLength: 256 }), (offsets) => {
        let predictions = 0;
        withFirst(
          offsets.map((offset) => text(1_600 + offset)),
          (size, rows) => {
            predictions++;
            return costing(3, 0.25)(size, rows);
          },
        );
        expect(predictions).toBeLessThanOrEqual((14 * 15) / 2);
      }),
    );
  });
});

function rowsOf(texts: readonly Text[]): number {
  return texts.reduce((sum, { rows }) => sum + rows, 0);
}

/** The least time of all ways to cut the list that is sorted by length. */
function leastMs(texts: readonly Text[], msOf: (group: readonly Text[]) => number): number {
  const sorted = texts.toSorted((a, b) => a.tensors.size.length - b.tensors.size.length);
  let least = Number.POSITIVE_INFINITY;
  for (let cuts = 0; cuts < 2 ** (sorted.length - 1); cuts++) {
    let ms = 0;
    let from = 0;
    for (let at = 1; at <= sorted.length; at++) {
      if (at < sorted.length && (cuts & (1 << (at - 1))) === 0) continue;
      ms += msOf(sorted.slice(from, at));
      from = at;
    }
    least = Math.min(least, ms);
  }
  return least;
}
