/** Items at a time: a write to each takes a few milliseconds in all. */
const SLICE = 1_000;

/**
 * Calls `each` for all `items`, the first slice at once and every further one in a turn of the event loop of its own, so that a
 * peer who opens very many streams does not stop the others when something is to be sent on all of them.
 */
export function inSlices<Item>(items: Iterable<Item>, each: (item: Item) => void): void {
  const iterator = items[Symbol.iterator]();
  const next = (): void => {
    for (let count = 0; count < SLICE; count++) {
      const { done, value } = iterator.next();
      if (done) return;
      each(value);
    }
    setImmediate(next);
  };
  next();
}
