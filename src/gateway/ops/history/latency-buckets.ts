/** Latencies in buckets that are each 5 % wide: any number of them takes a few kilobytes, and a quantile is at most 5 % too long. */

const GROWTH = 1.05;
/** Shorter latencies count as this: they do not matter to a caller. */
const SMALLEST_MS = 0.01;
/** Longer than the longest deadline that anyone waits for: about five minutes. */
const BUCKETS = 354;

/** Bucket `b` holds latencies above `SMALLEST_MS * GROWTH ** (b - 1)`, up to `SMALLEST_MS * GROWTH ** b`. */
export function bucketOf(ms: number): number {
  return Math.max(0, Math.ceil(Math.log(ms / SMALLEST_MS) / Math.log(GROWTH)));
}

/** The longest latency of a bucket, in milliseconds. */
export function upperBoundMs(bucket: number): number {
  return SMALLEST_MS * GROWTH ** bucket;
}

/** Counts of latencies by bucket; the last bucket also holds all that are longer. */
export class LatencyCounts {
  readonly #counts = new Uint32Array(BUCKETS);
  count = 0;

  add(ms: number): void {
    const bucket = Math.min(bucketOf(ms), BUCKETS - 1);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.count++;
  }

  addAll(other: LatencyCounts): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + (other.#counts[bucket] ?? 0);
    }
    this.count += other.count;
  }

  /** The quantile in milliseconds; `undefined` without any. */
  quantile(quantile: number): number | undefined {
    let left = Math.ceil(this.count * quantile);
    if (left === 0) return undefined;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket] ?? 0;
      if (left <= 0) return upperBoundMs(bucket);
    }
    return undefined;
  }
}
