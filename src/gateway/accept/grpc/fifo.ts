/** Items that are compacted at a time, at least. */
const COMPACT_AFTER = 64;

/**
 * First in, first out, at the same price however many wait: `Array.shift` moves all the rest of a long array, so that a peer
 * who has us queue 200,000 small messages would cost 20 seconds.
 */
export class Fifo<Item> {
  readonly #items: (Item | undefined)[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  get first(): Item | undefined {
    return this.#items[this.#first];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  /** Puts `item` in the place of the first one, which there must be. */
  replaceFirst(item: Item): void {
    this.#items[this.#first] = item;
  }

  shift(): Item | undefined {
    const item = this.#items[this.#first];
    if (this.#first === this.#items.length) return undefined;
    this.#items[this.#first++] = undefined;
    // Amortized: at least as many items were taken as are moved here.
    if (this.#first >= COMPACT_AFTER && this.#first * 2 >= this.#items.length) {
      this.#items.splice(0, this.#first);
      this.#first = 0;
    }
    return item;
  }

  clear(): void {
    this.#items.length = 0;
    this.#first = 0;
  }
}
