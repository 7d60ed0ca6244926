/**
 * Server-sent events to all open pages. Their cost is bounded: an update is made once for all watchers, at most every
 * `INTERVAL_MS`, and not at all without a watcher.
 *
 * VIEWER-1: a watcher holds one event at most. One that does not take it gets `stale` instead of the next, and asks for the
 *          snapshot; one that takes nothing for long is dropped.
 */

import type { PageApi } from './snapshot.ts';

export const INTERVAL_MS = 2_000;
export const MAX_WATCHERS = 16;
/** Events in a row that a watcher may leave untaken. */
const MAX_UNTAKEN = 5;

const STALE = Buffer.from('event: stale\ndata: {}\n\n');

export class EventStream {
  readonly #api: PageApi;
  readonly #intervalMs: number;
  readonly #watchers = new Set<Watcher>();
  #timer: NodeJS.Timeout | undefined;
  #sinceMs = 0;
  #ended = false;

  constructor(api: PageApi, intervalMs = INTERVAL_MS) {
    this.#api = api;
    this.#intervalMs = intervalMs;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** The events of a new watcher; `undefined`: there are too many, or the server ends. */
  open(): AsyncIterable<Uint8Array> | undefined {
    if (this.#ended || this.#watchers.size >= MAX_WATCHERS) return undefined;
    const watcher = new Watcher(() => this.#close(watcher));
    this.#watchers.add(watcher);
    if (this.#watchers.size === 1) {
      this.#sinceMs = Date.now();
      this.#schedule();
    }
    return watcher;
  }

  /** Ends all streams, for good. */
  end(): void {
    this.#ended = true;
    for (const watcher of [...this.#watchers]) watcher.end();
    clearTimeout(this.#timer);
  }

  #close(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size === 0) clearTimeout(this.#timer);
  }

  /** The next update after the one before is made, so that a slow machine makes fewer. */
  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#publish(), this.#intervalMs).unref();
  }

  async #publish(): Promise<void> {
    const sinceMs = this.#sinceMs;
    this.#sinceMs = Date.now();
    const update = await this.#api.update(sinceMs).catch(() => undefined);
    const event = update === undefined ? STALE : Buffer.from(`event: update\ndata: ${JSON.stringify(update)}\n\n`);
    for (const watcher of [...this.#watchers]) watcher.push(event);
    if (this.#watchers.size > 0) this.#schedule();
  }
}

/** The events of one page. */
class Watcher implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #onEnd: () => void;
  #event: Uint8Array | undefined;
  #untaken = 0;
  #ended = false;
  #take: ((result: IteratorResult<Uint8Array>) => void) | undefined;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }

  push(event: Uint8Array): void {
    const take = this.#take;
    if (take !== undefined) {
      this.#take = undefined;
      take({ done: false, value: event });
      return;
    }
    if (this.#event !== undefined && ++this.#untaken >= MAX_UNTAKEN) {
      this.end();
      return;
    }
    this.#event = this.#event === undefined ? event : STALE;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const event = this.#event;
    this.#event = undefined;
    this.#untaken = 0;
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    return new Promise((resolve) => {
      this.#take = resolve;
    });
  }

  /** The connection is gone. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#event = undefined;
    this.#take?.({ done: true, value: undefined });
    this.#take = undefined;
    this.#onEnd();
  }
}
