/** At the most this share of the places is taken, so that a search ends soon. */
const FULL_SHARE = 0.5;
const FIRST_PLACES = 16;
/** A table of more places than `SMALL_PLACES` that is left with this share of them taken gets smaller. */
const EMPTY_SHARE = 1 / 16;
const SMALL_PLACES = 256;
/** 2^32 over the golden ratio: numbers that follow each other, or are all odd, fall into places far from each other. */
const SPREAD = 0x9e37_79b1;

/**
 * Objects by a number below 2^32. Some come and go with each request.
 *
 * A `Map` of V8 moves into a new table every few changes, and its old table refers to the new one. Once a table is old, it and all
 * tables after it stay until V8 collects its whole heap, and with them the objects that they held: a server under load did so once
 * or twice a second. These arrays leave no such trail: open addressing with linear probing, and a removal closes the gap (Knuth,
 * TAOCP 3, section 6.4, algorithm R). A peer that chooses the numbers can make a search pass all items.
 *
 * IDS-1: an item is found from its number's own place on without a gap in between.
 */
export class IdTable<T extends object> {
  #ids = new Uint32Array(FIRST_PLACES);
  #items: (T | undefined)[] = places(FIRST_PLACES);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    return this.#items[this.#placeOf(id)];
  }

  /** Replaces the item of the number, if there is one. */
  set(id: number, item: T): void {
    const place = this.#placeOf(id);
    const isNew = this.#items[place] === undefined;
    this.#ids[place] = id;
    this.#items[place] = item;
    if (!isNew) return;
    this.#size++;
    if (this.#size > FULL_SHARE * this.#items.length) this.#resize(2 * this.#items.length);
  }

  /** @returns whether it was there */
  delete(id: number): boolean {
    const place = this.#placeOf(id);
    if (this.#items[place] === undefined) return false;
    this.#close(place);
    this.#size--;
    const { length } = this.#items;
    if (length > SMALL_PLACES && this.#size < EMPTY_SHARE * length) this.#resize(length / 2);
    return true;
  }

  /** The items as they are now, in no order. */
  all(): T[] {
    return this.#items.filter((item) => item !== undefined);
  }

  /** Where the number is, or would be. */
  #placeOf(id: number): number {
    const last = this.#items.length - 1;
    let place = this.#homeOf(id);
    while (this.#items[place] !== undefined && this.#ids[place] !== id) place = (place + 1) & last;
    return place;
  }

  #homeOf(id: number): number {
    return Math.imul(id, SPREAD) >>> (Math.clz32(this.#items.length) + 1);
  }

  /** IDS-1: an item behind the gap moves into it unless its home lies between them. */
  #close(gap: number): void {
    const last = this.#items.length - 1;
    let empty = gap;
    for (let place = (gap + 1) & last; ; place = (place + 1) & last) {
      const item = this.#items[place];
      if (item === undefined) break;
      const id = this.#ids[place] ?? 0;
      if (((place - this.#homeOf(id)) & last) < ((place - empty) & last)) continue;
      this.#ids[empty] = id;
      this.#items[empty] = item;
      empty = place;
    }
    this.#items[empty] = undefined;
  }

  #resize(length: number): void {
    const ids = this.#ids;
    const items = this.#items;
    this.#ids = new Uint32Array(length);
    this.#items = places(length);
    for (const [place, item] of items.entries()) {
      const id = ids[place];
      if (item === undefined || id === undefined) continue;
      const moved = this.#placeOf(id);
      this.#ids[moved] = id;
      this.#items[moved] = item;
    }
  }
}

function places(length: number): undefined[] {
  return new Array<undefined>(length).fill(undefined);
}
