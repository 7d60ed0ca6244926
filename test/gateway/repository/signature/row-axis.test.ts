import { expect, test } from 'vitest';
import { reshape } from '../../../../src/gateway/repository/signature/row-axis.ts';

test.each([
  { shape: [3, 2, 2], from: [-1, 2, 2], to: [-1, 4], seen: [3, 4] },
  { shape: [5, 7, 4], from: [-1, -1, 4], to: [-1, 1, -1, 2, 2], seen: [5, 1, 7, 2, 2] },
  { shape: [4], from: [4], to: [2, 2], seen: [2, 2] },
  { shape: [3], from: [-1], to: [-1, 1], seen: [3, 1] },
])('[$shape] of [$from] becomes [$seen] in the form of [$to]', ({ shape, from, to, seen }) => {
  expect(reshape(shape, from, to)).toEqual(seen);
});

test('a shape that does not fit stays as it is, because it describes its bytes', () => {
  expect(reshape([1, 6], [-1, 4], [-1, 2, 2])).toEqual([1, 6]);
  expect(reshape([1, 4, 1], [-1, 4], [-1, 2, 2])).toEqual([1, 4, 1]);
});
