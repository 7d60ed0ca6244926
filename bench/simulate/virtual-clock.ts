/**
 * A clock that jumps from event to event. While it is installed, `performance.now()`, `Date.now()`, `setTimeout` and
 * `setImmediate` are its own, so code that was written for the real clock runs on it unchanged, and hours pass in seconds.
 */

import { EventHeap, type TimedEvent } from './event-heap.ts';

const realSetImmediate = globalThis.setImmediate;

interface Immediate {
  readonly act: () => void;
  cancelled: boolean;
}

type Act = (...args: unknown[]) => void;

export class VirtualClock implements Disposable {
  #now = 0;
  readonly #events = new EventHeap();
  #immediates: Immediate[] = [];
  readonly #restore: () => void;

  /** Replaces the globals until the clock is disposed. */
  constructor() {
    const globals = globalThis as unknown as Record<string, unknown>;
    const names = ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate'] as const;
    const saved = names.map((name) => [name, globals[name]] as const);
    const performanceNow = performance.now;
    const dateNow = Date.now;
    globals['setTimeout'] = (act: Act, ms = 0, ...args: unknown[]) =>
      new VirtualTimer(this.at(this.#now + (ms > 0 ? ms : 0), () => act(...args)));
    globals['clearTimeout'] = (timer: VirtualTimer | undefined) => timer?.close();
    globals['setImmediate'] = (act: Act, ...args: unknown[]) => {
      const immediate: Immediate = { act: () => act(...args), cancelled: false };
      this.#immediates.push(immediate);
      return immediate;
    };
    globals['clearImmediate'] = (immediate: Immediate | undefined) => {
      if (immediate !== undefined) immediate.cancelled = true;
    };
    performance.now = () => this.#now;
    Date.now = () => this.#now;
    this.#restore = () => {
      for (const [name, value] of saved) globals[name] = value;
      performance.now = performanceNow;
      Date.now = dateNow;
    };
  }

  [Symbol.dispose](): void {
    this.#restore();
  }

  /** Milliseconds since the clock began. */
  get now(): number {
    return this.#now;
  }

  /** Runs `act` at `timeMs`, or now where that has passed. */
  at(timeMs: number, act: () => void): TimedEvent {
    return this.#events.push(Math.max(timeMs, this.#now), act);
  }

  /**
   * Runs events until none is left, or the next is later than `untilMs`. As in Node's event loop, promises settle before
   * the immediates of the turn run, and both before time goes on. Events of one moment belong to one turn.
   */
  async run(untilMs = Number.POSITIVE_INFINITY): Promise<void> {
    for (;;) {
      await new Promise((resolve) => realSetImmediate(resolve));
      if (this.#immediates.length > 0) {
        const due = this.#immediates;
        this.#immediates = [];
        for (const { act, cancelled } of due) if (!cancelled) act();
        continue;
      }
      const next = this.#events.peek();
      if (next === undefined || next.timeMs > untilMs) return;
      this.#now = next.timeMs;
      for (let event = this.#events.popAt(this.#now); event !== undefined; event = this.#events.popAt(this.#now)) {
        event.act();
      }
    }
  }
}

/** What `setTimeout` returns: the part of Node's `Timeout` that the gateway uses. */
class VirtualTimer {
  readonly #event: TimedEvent;

  constructor(event: TimedEvent) {
    this.#event = event;
  }

  close(): void {
    this.#event.cancelled = true;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
