/** Events in the order of their times, and of their creation where times are equal: a binary heap. */

export interface TimedEvent {
  readonly timeMs: number;
  readonly sequence: number;
  readonly act: () => void;
  /** A cancelled event stays in the heap until its turn, and does nothing then. */
  cancelled: boolean;
}

export class EventHeap {
  readonly #heap: TimedEvent[] = [];
  #created = 0;

  push(timeMs: number, act: () => void): TimedEvent {
    const event: TimedEvent = { timeMs, sequence: this.#created++, act, cancelled: false };
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, event)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = event;
    return event;
  }

  /** The next event that was not cancelled. */
  peek(): TimedEvent | undefined {
    while (this.#heap[0]?.cancelled === true) this.#pop();
    return this.#heap[0];
  }

  /** Removes the next event where it is due at `timeMs`. */
  popAt(timeMs: number): TimedEvent | undefined {
    const next = this.peek();
    if (next === undefined || next.timeMs > timeMs) return undefined;
    this.#pop();
    return next;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      let least = left;
      if (right !== undefined && isBefore(right, left)) {
        least = right;
        child++;
      }
      if (isBefore(last, least)) break;
      heap[index] = least;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(one: TimedEvent, other: TimedEvent): boolean {
  return one.timeMs < other.timeMs || (one.timeMs === other.timeMs && one.sequence < other.sequence);
}
