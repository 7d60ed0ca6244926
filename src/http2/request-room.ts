/** Bytes that the requests of one connection hold, and the choice of requests to end when there is no room. */

import { ByteBudget, Claim } from './byte-budget.ts';
import type { Http2Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';

/** A request that finds no room in what all connections may hold. */
export interface RoomNeed {
  /** `undefined`: a header block, which has no stream yet. */
  readonly stream: Http2Stream | undefined;
  readonly bytes: number;
  readonly claim: Claim;
}

export class RequestRoom {
  readonly #budget: ByteBudget;
  /** Bytes that all connections from the peer's address hold. */
  readonly ofAddress: ByteBudget;
  readonly #streams: StreamTable;
  readonly #makeRoomInAll: (need: RoomNeed) => boolean;

  /**
   * @param maxBytes of this connection
   * @param makeRoomInAll ends requests of any connection; false: there is no room all the same
   */
  constructor(
    maxBytes: number,
    ofAddress: ByteBudget,
    streams: StreamTable,
    makeRoomInAll: (need: RoomNeed) => boolean,
  ) {
    this.#budget = new ByteBudget(maxBytes, 'maxIncomingBytes', ofAddress);
    this.ofAddress = ofAddress;
    this.#streams = streams;
    this.#makeRoomInAll = makeRoomInAll;
  }

  get used(): number {
    return this.#budget.used;
  }

  /** False: there is no room, and nothing was taken. */
  tryTake(stream: Http2Stream | undefined, bytes: number, claim: Claim): boolean {
    if (this.#budget.tryTake(bytes, claim)) return true;
    // Nothing ends for bytes that are only announced.
    if (claim === Claim.AHEAD) return false;
    if (!this.#budget.has(bytes, claim)) {
      // Only a small call finds room where its own neighbours have filled the connection.
      const hasRoom = (): boolean => this.#budget.has(bytes, claim);
      if (claim !== Claim.SMALL || !this.evict(hasRoom, stream)) return false;
      if (this.#budget.tryTake(bytes, claim)) return true;
    }
    return this.#makeRoomInAll({ stream, bytes, claim }) && this.#budget.tryTake(bytes, claim);
  }

  give(bytes: number): void {
    this.#budget.give(bytes);
  }

  /**
   * Ends requests until there is room: first those that have stood still for longest, then those that hold most.
   * @returns whether there is room now
   */
  evict(hasRoom: () => boolean, except: Http2Stream | undefined): boolean {
    const streams = this.#streams.all().filter((stream) => heldBy(stream) > 0);
    for (const stream of streams.sort((a, b) => (isBefore(a, b) ? -1 : 1))) {
      if (hasRoom()) return true;
      if (stream !== except) stream.exchange?.evict();
    }
    return hasRoom();
  }

  /** Judges the pace of all requests: to be called about once a second. */
  look(elapsedMs: number): void {
    for (const stream of this.#streams.all()) stream.exchange?.look(elapsedMs);
  }
}

function heldBy({ exchange }: Http2Stream): number {
  return exchange?.heldBytes ?? 0;
}

function patienceOf({ exchange }: Http2Stream): number {
  return exchange?.patienceMs ?? Number.POSITIVE_INFINITY;
}

/** Not by subtraction: two infinities have no difference. */
function isBefore(a: Http2Stream, b: Http2Stream): boolean {
  return patienceOf(a) === patienceOf(b) ? heldBy(a) > heldBy(b) : patienceOf(a) < patienceOf(b);
}
