import type { HttpConnection } from './http-connection.ts';

/** The connections of the port. */
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
   * The connection that can best be spared: of the address with the most that do nothing, the one that has done nothing for the
   * longest time. So one client that opens many spares those of others. `undefined`: all are at work.
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
