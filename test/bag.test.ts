import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Bag } from '../src/bag.ts';

test('a bag holds the items that were added and not deleted, whatever the order', () => {
  const changes = fc.array(fc.tuple(fc.boolean(), fc.nat(20)), { maxLength: 200 });
  fc.assert(
    fc.property(changes, (all) => {
      const items = Array.from({ length: 21 }, (_, number) => ({ number }));
      const bag = new Bag<{ readonly number: number }>();
      const expected = new Set<{ readonly number: number }>();
      for (const [adds, number] of all) {
        const item = items[number] ?? { number };
        if (!adds || expected.has(item)) expect(bag.delete(item)).toBe(expected.delete(item));
        else {
          bag.add(item);
          expected.add(item);
        }
        expect(bag.size).toBe(expected.size);
        expect(new Set(bag)).toEqual(expected);
      }
    }),
  );
});
