import { IdTable } from './id-table.ts';
import type { Http2Stream } from './stream.ts';
import { StreamState } from './stream-state.ts';

/** The streams of a connection: those that are open, and the state of all others. */
export class StreamTable {
  readonly #open = new IdTable<Http2Stream>();
  /** Streams that we reset: frames of these may be under way for a while. */
  readonly #reset: RecentIds;
  #lastId = 0;

  /** @param maxRemembered of the streams that we reset; older ones count as reset, too, whether we did so or not */
  constructor(maxRemembered: number) {
    this.#reset = new RecentIds(maxRemembered);
  }

  get size(): number {
    return this.#open.size;
  }

  get(id: number): Http2Stream | undefined {
    return this.#open.get(id);
  }

  /** Those that are open now, in no order: they may be ended meanwhile. */
  all(): readonly Http2Stream[] {
    return this.#open.all();
  }

  /** The peer has used this number, whatever becomes of it; smaller ones that it has not used are closed (section 5.1.1). */
  use(id: number): void {
    this.#lastId = id;
  }

  add(stream: Http2Stream): void {
    this.#open.set(stream.id, stream);
  }

  remove(stream: Http2Stream): void {
    this.#open.delete(stream.id);
  }

  /** The server has reset the stream. */
  remember(id: number): void {
    this.#reset.add(id);
  }

  stateOf(id: number): StreamState {
    const stream = this.#open.get(id);
    if (stream !== undefined) return stream.state;
    if (id > this.#lastId) return StreamState.IDLE;
    return this.#reset.has(id) ? StreamState.RESET : StreamState.CLOSED;
  }
}

const FIRST_CAPACITY = 16;

/** The last numbers that were added, four bytes each: a peer can have us reset thousands of streams on every connection. */
class RecentIds {
  readonly #capacity: number;
  #ids = new Uint32Array(FIRST_CAPACITY);
  #added = 0;
  /** The highest number that had to give way. Up to here nothing is certain, and a peer must not suffer for that. */
  #forgotten = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(id: number): void {
    if (this.#added === this.#ids.length && this.#added < this.#capacity) {
      const grown = new Uint32Array(Math.min(this.#capacity, 2 * this.#added));
      grown.set(this.#ids);
      this.#ids = grown;
    }
    const at = this.#added++ % this.#ids.length;
    this.#forgotten = Math.max(this.#forgotten, this.#ids[at] ?? 0);
    this.#ids[at] = id;
  }

  has(id: number): boolean {
    // Most are asked for soon after they were added.
    const { length } = this.#ids;
    const oldest = Math.max(0, this.#added - length);
    for (let index = this.#added - 1; index >= oldest; index--) if (this.#ids[index % length] === id) return true;
    return id <= this.#forgotten;
  }
}
