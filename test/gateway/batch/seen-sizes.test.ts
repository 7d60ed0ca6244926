import { expect, test } from 'vitest';
import { SeenSizes } from '../../../src/gateway/batch/seen-sizes.ts';
import { fp32Rows } from '../../support/queued-requests.ts';

function sized(rows: number, elements: number): Parameters<SeenSizes['note']>[0] {
  return { ...fp32Rows(rows, 0, `${elements}`), size: { elements, length: 1 }, bytes: 4 * rows * elements };
}

function seen(...sizes: readonly (readonly [rows: number, elements: number])[]): SeenSizes {
  const known = new SeenSizes();
  for (const [rows, elements] of sizes) known.note(sized(rows, elements));
  return known;
}

test('nothing is known before the first request', () => {
  expect([seen().lightest, seen().heaviest]).toEqual([undefined, undefined]);
});

test('the lightest is one row of the smallest size, and the heaviest has the most rows of the largest', () => {
  const { lightest, heaviest } = seen([4, 10], [2, 100], [3, 50], [1, 20]);
  expect([lightest?.rows, lightest?.size.elements, lightest?.bytes]).toEqual([1, 10, 40]);
  expect([heaviest?.rows, heaviest?.size.elements]).toEqual([4, 100]);
});

test('both are one while all requests are alike', () => {
  const { lightest, heaviest } = seen([1, 10], [1, 10]);
  expect(lightest).toBe(heaviest);
});

test('no contents of a request are kept', () => {
  const { lightest, heaviest } = seen([1, 10], [2, 20]);
  expect([lightest?.inputs, heaviest?.inputs]).toEqual([[], []]);
});
