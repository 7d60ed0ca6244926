import type { Http2Stream } from './http2-stream.ts';
import { StreamState } from './stream-state.ts';

/** The streams of a connection: those that are open, and the state of all others. */
export class StreamTable {
  readonly #open = new Map<number, Http2Stream>();
  /** Streams that we reset, oldest first: of these, frames may be under way for a while. */
  readonly #reset = new Set<number>();
  readonly #maxRemembered: number;
  #lastId = 0;

  /** @param maxRemembered of the streams that we reset; frames of older ones are taken for frames of what is closed */
  constructor(maxRemembered: number) {
    this.#maxRemembered = maxRemembered;
  }

  get size(): number {
    return this.#open.size;
  }

  get(id: number): Http2Stream | undefined {
    return this.#open.get(id);
  }

  /** Those that are open; they may be ended meanwhile. */
  values(): Iterable<Http2Stream> {
    return this.#open.values();
  }

  /** As they are now: to end them changes the table. */
  all(): readonly Http2Stream[] {
    return [...this.#open.values()];
  }

  /** The peer has used this number, whatever becomes of it; smaller ones that it has not used are closed (section 5.1.1). */
  use(id: number): void {
    this.#lastId = id;
  }

  add(stream: Http2Stream): void {
    this.#open.set(stream.id, stream);
  }

  /** It is over. */
  remove(stream: Http2Stream): void {
    this.#open.delete(stream.id);
  }

  /** We have reset this one. */
  remember(id: number): void {
    this.#reset.add(id);
    if (this.#reset.size <= this.#maxRemembered) return;
    for (const oldest of this.#reset) {
      this.#reset.delete(oldest);
      return;
    }
  }

  stateOf(id: number): StreamState {
    const stream = this.#open.get(id);
    if (stream !== undefined) return stream.state;
    if (id > this.#lastId) return StreamState.IDLE;
    return this.#reset.has(id) ? StreamState.RESET : StreamState.CLOSED;
  }
}
