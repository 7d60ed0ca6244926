/** Which parts of a file are free: ranges that are taken whole, and given back whole. */

interface Range {
  offset: number;
  bytes: number;
}

/** Ranges are whole pages, so that no two of them share memory. */
const PAGE_BYTES = 4096;

/**
 * First fit: low offsets are taken again and again, whose pages are warm.
 *
 * RANGE-1: no two ranges that are taken overlap.
 * RANGE-2: a range that is given back is free again, in one piece with its free neighbours.
 */
export class FreeRanges {
  readonly #bytes: number;
  /** In the order of their offsets; no two touch. */
  readonly #free: Range[];
  #taken = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#free = [{ offset: 0, bytes }];
  }

  get isUntouched(): boolean {
    return this.#taken === 0;
  }

  /** Bytes that are taken, in whole pages. */
  get taken(): number {
    return this.#taken;
  }

  /** The offset of a free range of so many bytes, which is taken now; `undefined`: there is none. */
  take(bytes: number): number | undefined {
    const size = pagesOf(bytes);
    const index = this.#free.findIndex((range) => range.bytes >= size);
    const range = this.#free[index];
    if (range === undefined) return undefined;
    const { offset } = range;
    range.offset += size;
    range.bytes -= size;
    if (range.bytes === 0) this.#free.splice(index, 1);
    this.#taken += size;
    return offset;
  }

  /** Gives a range back as it was taken. @throws RangeError where some of it is free, or outside */
  give(offset: number, bytes: number): void {
    const size = pagesOf(bytes);
    const next = this.#free.findIndex((range) => range.offset > offset);
    const index = next === -1 ? this.#free.length : next;
    const before = this.#free[index - 1];
    const after = this.#free[index];
    const isFree =
      (before !== undefined && before.offset + before.bytes > offset) || (after?.offset ?? this.#bytes) < offset + size;
    if (isFree) throw new RangeError(`${size} bytes at ${offset} are not taken`);
    this.#taken -= size;
    const joinsBefore = before !== undefined && before.offset + before.bytes === offset;
    const joinsAfter = after !== undefined && after.offset === offset + size;
    if (joinsBefore) {
      before.bytes += size + (joinsAfter ? after.bytes : 0);
      if (joinsAfter) this.#free.splice(index, 1);
    } else if (joinsAfter) {
      after.offset = offset;
      after.bytes += size;
    } else {
      this.#free.splice(index, 0, { offset, bytes: size });
    }
  }
}

function pagesOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / PAGE_BYTES)) * PAGE_BYTES;
}
