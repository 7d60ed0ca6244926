import { type LimitName, limitReached } from './limit-events.ts';

/** Bytes that may be held: by one connection, and by all of them together where it has a parent. */
export class ByteBudget {
  readonly #limit: number;
  readonly #name: LimitName;
  readonly #parent: ByteBudget | undefined;
  #used = 0;

  /** @param name of the limit, which is told when there is no room */
  constructor(limit: number, name: LimitName, parent?: ByteBudget) {
    this.#limit = limit;
    this.#name = name;
    this.#parent = parent;
  }

  get used(): number {
    return this.#used;
  }

  /** There is room for so much, here; a parent may have none. */
  has(bytes: number): boolean {
    return this.#used + bytes <= this.#limit;
  }

  /** False: there is no room, and nothing was taken. */
  tryTake(bytes: number): boolean {
    if (!this.has(bytes)) {
      limitReached(this.#name);
      return false;
    }
    if (this.#parent !== undefined && !this.#parent.tryTake(bytes)) return false;
    this.#used += bytes;
    return true;
  }

  /** For what is held already, whether there is room or not. */
  take(bytes: number): void {
    this.#used += bytes;
    this.#parent?.take(bytes);
  }

  give(bytes: number): void {
    this.#used -= bytes;
    this.#parent?.give(bytes);
  }
}
