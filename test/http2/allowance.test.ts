import { expect, test } from 'vitest';
import { Allowance } from '../../src/http2/allowance.ts';

test('a burst is allowed, and then what time and work earn', () => {
  const allowance = new Allowance(10, 2);
  for (let index = 0; index < 10; index++) expect(allowance.spend(1, 0)).toBe(true);
  expect(allowance.spend(1, 0)).toBe(false);
  allowance.earn(3);
  expect(allowance.spend(2, 0)).toBe(true);
  expect(allowance.spend(1, 500)).toBe(true);
  expect(allowance.spend(1, 500)).toBe(false);
});

test('no one saves more than a burst', () => {
  const allowance = new Allowance(10, 2);
  allowance.earn(1_000);
  expect(allowance.spend(11, 1_000_000)).toBe(false);
});
