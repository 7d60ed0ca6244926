import type { LimitListener, LimitName } from './limits.ts';

/** Share of a budget that each use may fill: small uses still find room when large ones do not. */
export const Claim = {
  /** Room for bytes that are announced and have not come. */
  AHEAD: 1 / 2,
  LARGE: 7 / 8,
  /** A call's metadata, and its message where that is at most 64 KiB. */
  SMALL: 1,
} as const;

export type Claim = (typeof Claim)[keyof typeof Claim];

/** Health checks, calls for metadata, requests of small models. */
const SMALL_MESSAGE_BYTES = 64 * 1024;

export function claimOf(byteLength: number): Claim {
  return byteLength <= SMALL_MESSAGE_BYTES ? Claim.SMALL : Claim.LARGE;
}

/** Bytes that may be held: by one connection, and by all of them together where it has a parent. */
export class ByteBudget {
  readonly #limit: number;
  readonly #name: LimitName;
  readonly #parent: ByteBudget | undefined;
  readonly #listener: LimitListener | undefined;
  #used = 0;

  /**
   * @param name of the limit, which `listener` gets when there is no room
   * @param listener the parent's unless given
   */
  constructor(limit: number, name: LimitName, parent?: ByteBudget, listener?: LimitListener) {
    this.#limit = limit;
    this.#name = name;
    this.#parent = parent;
    this.#listener = listener ?? (parent === undefined ? undefined : parent.#listener);
  }

  get used(): number {
    return this.#used;
  }

  /** There is room for so much, here; a parent may have none. */
  has(bytes: number, claim: Claim = Claim.SMALL): boolean {
    return this.#used + bytes <= this.#limit * claim;
  }

  /** False: there is no room, and nothing was taken. */
  tryTake(bytes: number, claim: Claim = Claim.SMALL): boolean {
    if (!this.has(bytes, claim)) {
      if (claim !== Claim.AHEAD) this.#listener?.limitReached(this.#name);
      return false;
    }
    if (this.#parent !== undefined && !this.#parent.tryTake(bytes, claim)) return false;
    this.#used += bytes;
    return true;
  }

  /** Charges bytes that are already held, whether or not there is room. */
  take(bytes: number): void {
    this.#used += bytes;
    this.#parent?.take(bytes);
  }

  give(bytes: number): void {
    this.#used -= bytes;
    this.#parent?.give(bytes);
  }
}
