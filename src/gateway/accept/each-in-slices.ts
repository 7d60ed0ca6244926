import { SLICES } from './slices.ts';

/** Items at a time: a write to each takes a few milliseconds in all. */
const SLICE_ITEMS = 1_000;

/**
 * Calls `each` for all `items`, the first thousand at once and every further thousand in a slice of the event loop. A peer
 * with very many streams then does not stop the others when all of its streams get a message.
 */
export function eachInSlices<Item>(items: Iterable<Item>, each: (item: Item) => void): void {
  const iterator = items[Symbol.iterator]();
  const next = (): void => {
    for (let count = 0; count < SLICE_ITEMS; count++) {
      const { done, value } = iterator.next();
      if (done) return;
      each(value);
    }
    void SLICES.next().then(next);
  };
  next();
}
