/** Servers in threads of one process that share a port: their limits of connections are for all of them together. */

/** The sockets of one server of a group, and what it sees of the others. */
export interface ConnectionGroup {
  /** Open sockets of the other servers, in all and from `address`. */
  others(address: string): { readonly all: number; readonly ofAddress: number };
  opened(address: string): void;
  closed(address: string): void;
}

/** Addresses fall into so many classes: two addresses of one class count as one, which only their limit can notice. */
const CLASSES = 8192;
const ROW = 1 + CLASSES;

/** Counts of sockets in shared memory: a row for each server, which only that server writes. */
export class SharedConnectionGroup implements ConnectionGroup {
  readonly #rows: Int32Array;
  readonly #own: number;
  readonly #seed: number;

  /**
   * @param memory from `memoryFor`, the same for all servers of the group
   * @param own the number of this server in the group
   * @param seed the same for all servers, and random: no peer can choose an address that shares the class of another one
   */
  constructor(memory: SharedArrayBuffer, own: number, seed: number) {
    this.#rows = new Int32Array(memory);
    this.#own = own * ROW;
    this.#seed = seed;
  }

  static memoryFor(servers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(servers * ROW * Int32Array.BYTES_PER_ELEMENT);
  }

  /** The server has ended without closing its sockets, which the system did. */
  clear(): void {
    for (let at = this.#own; at < this.#own + ROW; at++) Atomics.store(this.#rows, at, 0);
  }

  /** Open sockets of this server. */
  get size(): number {
    return Atomics.load(this.#rows, this.#own);
  }

  others(address: string): { readonly all: number; readonly ofAddress: number } {
    const place = this.#classOf(address);
    let all = 0;
    let ofAddress = 0;
    for (let row = 0; row < this.#rows.length; row += ROW) {
      if (row === this.#own) continue;
      all += Atomics.load(this.#rows, row);
      ofAddress += Atomics.load(this.#rows, row + place);
    }
    return { all, ofAddress };
  }

  opened(address: string): void {
    this.#add(address, 1);
  }

  closed(address: string): void {
    this.#add(address, -1);
  }

  #add(address: string, sockets: number): void {
    Atomics.add(this.#rows, this.#own, sockets);
    Atomics.add(this.#rows, this.#own + this.#classOf(address), sockets);
  }

  /** FNV-1a, with a mix at the end: addresses that differ in one digit are far apart. */
  #classOf(address: string): number {
    let hash = this.#seed | 0;
    for (let at = 0; at < address.length; at++) hash = Math.imul(hash ^ address.charCodeAt(at), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return 1 + (((hash ^ (hash >>> 13)) >>> 0) % CLASSES);
  }
}
