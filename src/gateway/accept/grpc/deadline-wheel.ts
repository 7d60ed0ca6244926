/** One timer for all deadlines: a wheel of linked lists. To add and to remove costs the same, however many there are. */

const SLOTS = 512;
/** A revolution takes five seconds; a later deadline stays in its slot for further revolutions. */
const TICK_MS = 10;

/** An entry with a deadline. It has the links of the list itself, so that a call needs no second object. */
export abstract class Expiring {
  /** On the clock of `performance.now()`. */
  abstract readonly deadline: number;
  slot = -1;
  earlier: Expiring | undefined = undefined;
  later: Expiring | undefined = undefined;

  /** Called once, at most two ticks after the deadline, if it is then still in the wheel. */
  abstract expire(): void;
}

export class DeadlineWheel {
  readonly #slots: (Expiring | undefined)[] = new Array(SLOTS).fill(undefined);
  #size = 0;
  /** The last tick that was looked at. */
  #tick = 0;
  #timer: NodeJS.Timeout | undefined;

  get size(): number {
    return this.#size;
  }

  add(entry: Expiring): void {
    if (entry.deadline === Number.POSITIVE_INFINITY) return;
    // The timer outlives a wheel that is empty for a moment: to start one for each call would cost more than the call's place.
    if (this.#timer === undefined) {
      this.#tick = Math.floor(performance.now() / TICK_MS);
      this.#timer = setInterval(() => this.#advance(), TICK_MS).unref();
    }
    this.#size++;
    const tick = Math.max(Math.floor(entry.deadline / TICK_MS) + 1, this.#tick + 1);
    const slot = tick % SLOTS;
    const first = this.#slots[slot];
    entry.slot = slot;
    entry.later = first;
    if (first !== undefined) first.earlier = entry;
    this.#slots[slot] = entry;
  }

  /** Does nothing for an entry that is not in the wheel. */
  remove(entry: Expiring): void {
    if (entry.slot < 0) return;
    if (entry.earlier === undefined) this.#slots[entry.slot] = entry.later;
    else entry.earlier.later = entry.later;
    if (entry.later !== undefined) entry.later.earlier = entry.earlier;
    entry.earlier = undefined;
    entry.later = undefined;
    entry.slot = -1;
    this.#size--;
  }

  #advance(): void {
    if (this.#size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const now = performance.now();
    const target = Math.floor(now / TICK_MS);
    // After a long pause every slot is looked at once, and no more.
    const first = Math.max(this.#tick + 1, target - SLOTS + 1);
    this.#tick = target;
    for (let tick = first; tick <= target; tick++) this.#expire(tick % SLOTS, now);
  }

  #expire(slot: number, now: number): void {
    // Collected first: what an expired call's owner does may remove the next one.
    const due: Expiring[] = [];
    for (let entry = this.#slots[slot]; entry !== undefined; entry = entry.later) {
      if (entry.deadline <= now) due.push(entry);
    }
    for (const entry of due) {
      if (entry.slot < 0) continue;
      this.remove(entry);
      entry.expire();
    }
  }
}
