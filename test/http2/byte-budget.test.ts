import { expect, test } from 'vitest';
import { ByteBudget } from '../../src/http2/byte-budget.ts';

test('a part is bounded by its own limit and by the limit of all', () => {
  const all = new ByteBudget(100, 'maxIncomingBytesInAll');
  const one = new ByteBudget(80, 'maxIncomingBytes', all);
  const other = new ByteBudget(80, 'maxIncomingBytes', all);
  expect(one.tryTake(81)).toBe(false);
  expect(one.tryTake(60)).toBe(true);
  expect(other.tryTake(41)).toBe(false);
  expect([one.used, other.used, all.used]).toEqual([60, 0, 60]);
  expect(other.tryTake(40)).toBe(true);
  one.give(60);
  expect(other.tryTake(40)).toBe(true);
  expect(all.used).toBe(80);
});

test('bytes that are already there count even where there is no room for them', () => {
  const all = new ByteBudget(10, 'maxUnreadBytesInAll');
  const one = new ByteBudget(10, 'maxUnreadBytes', all);
  one.take(15);
  expect([one.has(0), all.has(0)]).toEqual([false, false]);
  one.give(15);
  expect(all.used).toBe(0);
});
