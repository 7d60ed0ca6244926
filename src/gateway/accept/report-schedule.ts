export interface Recurring {
  readonly intervalMs: number;
  send(): void;
}

const TICK_MS = 100;
/** Reports per tick, 10,000 a second with ticks of 100 ms: the rest follows a tick later. */
const MOST_PER_TICK = 1_000;

/**
 * One timer for everything that recurs, and a bound on its work: many clients that ask for reports as often as they may are
 * served less often, rather than at the expense of others. All that is due in a tick is sent together.
 */
export class ReportSchedule<Item extends Recurring> {
  readonly #tickMs: number;
  /** By the tick at which they are due. */
  readonly #due = new Map<number, Set<Item>>();
  readonly #tickOf = new Map<Item, number>();
  #tick = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param minIntervalMs of all items */
  constructor(minIntervalMs: number) {
    this.#tickMs = Math.min(TICK_MS, minIntervalMs);
  }

  /** All items, in no order. */
  get items(): Iterable<Item> {
    return this.#tickOf.keys();
  }

  /** Sends `item` an interval from now, and so on. */
  add(item: Item): void {
    if (this.#timer === undefined) {
      this.#tick = this.#now();
      this.#timer = setInterval(() => this.#advance(), this.#tickMs);
    }
    this.#place(item, Math.max(this.#tick, this.#now()) + Math.ceil(item.intervalMs / this.#tickMs));
  }

  remove(item: Item): void {
    const tick = this.#tickOf.get(item);
    if (tick === undefined) return;
    this.#tickOf.delete(item);
    const due = this.#due.get(tick);
    due?.delete(item);
    if (due?.size === 0) this.#due.delete(tick);
    if (this.#tickOf.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #now(): number {
    return Math.floor(performance.now() / this.#tickMs);
  }

  #place(item: Item, tick: number): void {
    this.#tickOf.set(item, tick);
    const due = this.#due.get(tick);
    if (due === undefined) this.#due.set(tick, new Set([item]));
    else due.add(item);
  }

  #advance(): void {
    const target = this.#now();
    let left = MOST_PER_TICK;
    while (this.#tick < target) {
      const due = this.#due.get(this.#tick + 1);
      for (const item of due ?? []) {
        // The rest of this tick is still due when the next one comes.
        if (left-- === 0) return;
        due?.delete(item);
        this.#place(item, Math.max(target, this.#tick + 1) + Math.ceil(item.intervalMs / this.#tickMs));
        item.send();
      }
      this.#due.delete(++this.#tick);
    }
  }
}
