import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Occupancy } from '../../../src/gateway/batch/occupancy.ts';

test('rows count for as long as they are there, also those that still are', () => {
  const occupancy = new Occupancy(8, 0);
  occupancy.enter(2, 10);
  occupancy.enter(3, 20);
  expect(occupancy.rowMs(30)).toBe(2 * 20 + 3 * 10);
  occupancy.leave(2, 30);
  expect(occupancy.rowMs(40)).toBe(2 * 20 + 3 * 20);
  occupancy.leave(3, 40);
  expect(occupancy.rowMs(1_000)).toBe(2 * 20 + 3 * 20);
});

test('the area is the sum of all stays, in whatever order they begin and end', () => {
  const stay = fc.record({ rows: fc.integer({ min: 1, max: 64 }), from: fc.nat(1_000), for: fc.nat(1_000) });
  fc.assert(
    fc.property(fc.array(stay, { maxLength: 30 }), (stays) => {
      const occupancy = new Occupancy(64, 0);
      const moves = stays.flatMap(({ rows, from, for: ms }) => [
        { at: from, move: () => occupancy.enter(rows, from) },
        { at: from + ms, move: () => occupancy.leave(rows, from + ms) },
      ]);
      for (const { move } of moves.sort((a, b) => a.at - b.at)) move();
      expect(occupancy.rowMs(5_000)).toBe(stays.reduce((sum, { rows, for: ms }) => sum + rows * ms, 0));
    }),
  );
});
