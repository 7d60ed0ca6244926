/** How long requests took, in buckets that are each 5 % wide: any number of them takes the same few kilobytes. */

const GROWTH = 1.05;
/** What is below counts as this: nothing shorter matters to a caller. */
const SMALLEST_MS = 0.01;

export class Latencies {
  readonly #buckets: number[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(ms: number): void {
    const bucket = bucketOf(ms);
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#count++;
  }

  /** How many took longer; those less than 5 % longer may not be counted. */
  above(ms: number): number {
    return this.#buckets.slice(bucketOf(ms) + 1).reduce((sum, count) => sum + (count ?? 0), 0);
  }

  /** What the share `quantile` of them did not exceed, at most 5 % too long, in milliseconds; 0 where there are none. */
  quantile(quantile: number): number {
    let left = Math.ceil(this.#count * quantile);
    for (const [bucket, count = 0] of this.#buckets.entries()) {
      left -= count;
      if (left <= 0 && this.#count > 0) return SMALLEST_MS * GROWTH ** bucket;
    }
    return 0;
  }
}

/** Bucket `b` holds what is above `SMALLEST_MS * GROWTH ** (b - 1)`, and at most `SMALLEST_MS * GROWTH ** b`. */
function bucketOf(ms: number): number {
  return Math.max(0, Math.ceil(Math.log(ms / SMALLEST_MS) / Math.log(GROWTH)));
}
