import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { batchesOf, type Dataset, ofOneShape, rest, type Sample, spread } from '../../src/compare/sample.ts';
import { UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';

/** Rows of the given widths; the name of each is its place. */
function dataset(widths: readonly number[]): Dataset {
  return {
    source: 'test',
    count: widths.length,
    read: async (index) => {
      const width = widths[index] ?? Number.NaN;
      const tensors = {
        rows: 1,
        bytes: width,
        size: UNIT_ROW,
        bucket: '',
        inputs: [new Uint8Array(width)],
        shapes: [[1, width]],
      };
      return { name: String(index), tensors };
    },
  };
}

async function names({ count, read }: Dataset): Promise<string[]> {
  return (await Promise.all(Array.from({ length: count }, (_, index) => read(index)))).map(({ name }) => name);
}

describe('a part of the data', () => {
  test('is spread over all of it, and with what it leaves out is the whole', async () => {
    const sizes = fc.record({ all: fc.integer({ min: 1, max: 200 }), part: fc.integer({ min: 1, max: 250 }) });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ all, part }) => {
        const whole = dataset(Array(all).fill(1));
        const taken = await names(spread(whole, part));
        const left = await names(rest(whole, part));
        expect(taken).toHaveLength(Math.min(all, part));
        expect([...taken, ...left].map(Number).sort((a, b) => a - b)).toEqual([...Array(all).keys()]);
      }),
    );
  });

  test('has every class of data that is sorted by class', async () => {
    const taken = await names(spread(dataset(Array(100).fill(1)), 10));
    expect(taken.map((name) => Math.floor(Number(name) / 10))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

test('a batch has rows of one shape, in order, and none is left out', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 9 }),
      async (widths, size) => {
        const seen: number[] = [];
        for await (const { from, samples } of batchesOf(dataset(widths), size)) {
          expect(samples.length).toBeLessThanOrEqual(size);
          expect(from).toBe(seen.length);
          expect(new Set(samples.map(({ tensors }) => String(tensors.shapes))).size).toBe(1);
          seen.push(...samples.map(({ name }) => Number(name)));
        }
        expect(seen).toEqual([...widths.keys()]);
      },
    ),
  );
});

test('the rows of the most frequent length make one batch', () => {
  const sample = (name: string, length: number): Sample => ({
    name,
    tensors: { rows: 1, bytes: 0, size: UNIT_ROW, bucket: '', inputs: [], shapes: [[1, length]] },
  });
  const samples = [9, 6, 14, 6, 31, 6, 14].map((length, index) => sample(String(index), length));
  expect(ofOneShape(samples).map(({ name }) => name)).toEqual(['1', '3', '5']);
  expect(ofOneShape([])).toEqual([]);
});
