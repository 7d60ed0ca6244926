/**
 * Objects that come and go with each request, in no order.
 *
 * A `Set` or a `Map` of V8 moves into a new table every few changes, and its old table refers to the new one. Sooner or later a
 * collection of the young objects promotes such a table. It and all tables after it then stay until V8 collects the old objects,
 * and so do the objects that they held when they were replaced. An array leaves no such trail.
 */
export class Bag<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#items.values();
  }

  /** The item must not be in the bag. */
  add(item: T): void {
    this.#items.push(item);
  }

  /** Takes a time in proportion to how many came after it. @returns whether it was in the bag */
  delete(item: T): boolean {
    const at = this.#items.lastIndexOf(item);
    if (at < 0) return false;
    const last = this.#items.pop();
    if (last !== undefined && at < this.#items.length) this.#items[at] = last;
    return true;
  }
}
