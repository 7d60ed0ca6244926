import type { HttpConnection } from './http-connection.ts';

export class ConnectionTable {
  readonly #connections = new Set<HttpConnection>();
  #onEmpty: (() => void) | undefined;

  get size(): number {
    return this.#connections.size;
  }

  [Symbol.iterator](): IterableIterator<HttpConnection> {
    return this.#connections.values();
  }

  add(connection: HttpConnection): void {
    this.#connections.add(connection);
  }

  remove(connection: HttpConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  /** Resolves when there is none. */
  empty(): Promise<void> {
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /**
   * The least useful connection: the longest inactive one of the address with the most inactive connections. So a client that
   * opens many loses its own. `undefined` if all are busy.
   */
  leastUseful(): HttpConnection | undefined {
    const counts = new Map<string, number>();
    let most = 0;
    for (const { uselessSince, address } of this.#connections) {
      if (uselessSince === undefined) continue;
      const count = (counts.get(address) ?? 0) + 1;
      counts.set(address, count);
      most = Math.max(most, count);
    }
    let oldest: HttpConnection | undefined;
    let since = Number.POSITIVE_INFINITY;
    for (const connection of this.#connections) {
      const { uselessSince, address } = connection;
      if (uselessSince === undefined || uselessSince >= since || counts.get(address) !== most) continue;
      oldest = connection;
      since = uselessSince;
    }
    return oldest;
  }
}
