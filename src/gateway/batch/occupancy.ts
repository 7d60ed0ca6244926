/**
 * How full a model version is: its waiting and running rows, relative to full batches on all of its instances. Kept as an area,
 * rows times milliseconds, so that two readings give the exact mean between them, however short the runs are: a sample taken when
 * an answer leaves would nearly always meet an instance that has just become idle.
 */
export class Occupancy {
  /** Rows of full batches on all instances. */
  readonly capacity: number;
  #rows = 0;
  #rowMs = 0;
  #changedAt: number;

  /** @param now on the clock of `performance.now()`, as everywhere here. */
  constructor(capacity: number, now: number = performance.now()) {
    this.capacity = capacity;
    this.#changedAt = now;
  }

  /** Rows times milliseconds, since it was made. */
  rowMs(now: number): number {
    return this.#rowMs + this.#rows * (now - this.#changedAt);
  }

  enter(rows: number, now: number = performance.now()): void {
    this.#change(rows, now);
  }

  leave(rows: number, now: number = performance.now()): void {
    this.#change(-rows, now);
  }

  #change(rows: number, now: number): void {
    this.#rowMs = this.rowMs(now);
    this.#rows += rows;
    this.#changedAt = now;
  }
}
