import fc from 'fast-check';
import { expect, test } from 'vitest';
import { keptOfPair } from '../../../src/worker/steps/truncation.ts';

test.each([
  ['both fit', 3, 4, 7, [3, 4]],
  ['the longer second is cut', 2, 9, 7, [2, 5]],
  ['the longer first is cut', 9, 2, 7, [5, 2]],
  ['both are longer than half', 9, 8, 7, [4, 3]],
  ['both are equal', 8, 8, 7, [3, 4]],
])('where %s', (_name, first, second, most, kept) => {
  expect(keptOfPair(first, second, most)).toEqual(kept);
});

test('as many tokens are kept as may be, of each text at most its own', () => {
  const count = fc.nat(50);
  fc.assert(
    fc.property(count, count, count, (first, second, most) => {
      const [ofFirst, ofSecond] = keptOfPair(first, second, most);
      expect(ofFirst + ofSecond).toBe(Math.min(first + second, most));
      expect(ofFirst).toBeLessThanOrEqual(first);
      expect(ofSecond).toBeLessThanOrEqual(second);
    }),
  );
});
