import { expect, test } from 'vitest';
import { count, megabytes, milliseconds, percent, small, times } from '../../src/compare/page/format.ts';

test.each([
  [count(8_554_144.6), '8,554,145'],
  [percent(0.98765), '98.77 %'],
  [times(2.68), '2.7x'],
  [times(9.96), '10x'],
  [megabytes(999_499), '999 kB'],
  [megabytes(8_554_145), '8.55 MB'],
  [milliseconds(0.123456), '0.123 ms'],
  [small(0), '0'],
  [small(0.035), '0.035'],
  [small(0.00004), '4.0e-5'],
  [small(12_345_678), '1.2e+7'],
])('a figure is written as people read it: %s', (text, expected) => {
  expect(text).toBe(expected);
});
