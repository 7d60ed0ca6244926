import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FreeRanges } from '../../../src/gateway/landing/free-ranges.ts';

const PAGE = 4096;
const PAGES = 64;

/** A range to take, or which of those that are taken to give back. */
const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('take' as const), bytes: fc.integer({ min: 0, max: 20 * PAGE }) }),
    fc.record({ kind: fc.constant('give' as const), which: fc.nat() }),
  ),
  { maxLength: 200 },
);

describe('ranges of a file', () => {
  test('never overlap, are taken wherever enough pages are free in a row, and are free once they are given back', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const ranges = new FreeRanges(PAGES * PAGE);
        const pages = new Array<boolean>(PAGES).fill(false);
        const taken: { offset: number; bytes: number; first: number; count: number }[] = [];
        for (const step of all) {
          if (step.kind === 'take') {
            const count = Math.max(1, Math.ceil(step.bytes / PAGE));
            const offset = ranges.take(step.bytes);
            const first = pages.findIndex(
              (_, at) => at + count <= PAGES && !pages.slice(at, at + count).includes(true),
            );
            expect(offset).toBe(first === -1 ? undefined : first * PAGE);
            if (offset === undefined) continue;
            pages.fill(true, first, first + count);
            taken.push({ offset, bytes: step.bytes, first, count });
          } else if (taken.length > 0) {
            const [given] = taken.splice(step.which % taken.length, 1);
            if (given === undefined) continue;
            ranges.give(given.offset, given.bytes);
            pages.fill(false, given.first, given.first + given.count);
          }
          expect(ranges.taken).toBe(pages.filter(Boolean).length * PAGE);
        }
        for (const { offset, bytes } of taken) ranges.give(offset, bytes);
        expect([ranges.isUntouched, ranges.take(PAGES * PAGE)]).toEqual([true, 0]);
      }),
    );
  });

  test('that are given back twice are an error', () => {
    const ranges = new FreeRanges(PAGES * PAGE);
    const [first, second] = [ranges.take(10), ranges.take(2 * PAGE)];
    expect([first, second]).toEqual([0, PAGE]);
    ranges.give(PAGE, 2 * PAGE);
    expect(() => ranges.give(PAGE, 2 * PAGE)).toThrow('8192 bytes at 4096 are not taken');
    expect(() => ranges.give(0, 2 * PAGE)).toThrow('8192 bytes at 0 are not taken');
    ranges.give(0, 10);
    expect(ranges.isUntouched).toBe(true);
  });
});
