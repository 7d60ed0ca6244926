import { expect, test } from 'vitest';
import { formatExactJson, parseExactJson } from '../../src/wire/exact-json.ts';

test('keeps the sign of zero, both ways', () => {
  expect(formatExactJson([0, -0, -0.5])).toBe('[0,-0.0,-0.5]');
  expect(parseExactJson('[0,-0.0,-0]')).toEqual([0, -0, -0]);
});
