/**
 * How long requests took: in buckets that are each 5 % wide, by slices of time. Any number of them takes the same few kilobytes.
 *
 * Slices, because requests are not slow one by one: what stops a machine for a moment makes all slow that are on their way. That
 * is one event, however many they are.
 */

import { bucketOf, upperBoundMs } from '../ops/history/latency-buckets.ts';

/** How long a slice is at first. */
const SLICE_MS = 1_000;
/** When there are more, each becomes one with the next, and they are twice as long. */
const MAX_SLICES = 128;

/** Counts by bucket. */
type Slice = Map<number, number>;

export class Latencies {
  #slices = new Map<number, Slice>();
  #sliceMs = SLICE_MS;

  get count(): number {
    return this.#counts().reduce((sum, [, count]) => sum + count, 0);
  }

  /** @param atMs when it ended, on whatever clock. */
  add(ms: number, atMs: number): void {
    const number = Math.floor(atMs / this.#sliceMs);
    const slice = this.#slices.get(number) ?? new Map<number, number>();
    this.#slices.set(number, slice);
    count(slice, bucketOf(ms), 1);
    if (this.#slices.size > MAX_SLICES) this.#join();
  }

  /** How many took longer; those less than 5 % longer may not be counted. */
  above(ms: number): number {
    const limit = bucketOf(ms);
    return this.#counts().reduce((sum, [bucket, count]) => (bucket > limit ? sum + count : sum), 0);
  }

  /** The quantile in milliseconds, at most 5 % too long; 0 without any. */
  quantile(quantile: number): number {
    let left = Math.ceil(this.count * quantile);
    if (left === 0) return 0;
    for (const [bucket, count] of this.#counts().sort(([a], [b]) => a - b)) {
      left -= count;
      if (left <= 0) return upperBoundMs(bucket);
    }
    return 0;
  }

  /** The same without the slices, so many, in which the most took longer than `ms`; those in which none did stay. */
  withoutWorst(slices: number, ms: number): Latencies {
    const limit = bucketOf(ms);
    const slow = (slice: Slice): number =>
      [...slice].reduce((sum, [bucket, count]) => (bucket > limit ? sum + count : sum), 0);
    const ranked = [...this.#slices].map((entry) => ({ entry, slow: slow(entry[1]) })).sort((a, b) => b.slow - a.slow);
    const rest = new Latencies();
    rest.#sliceMs = this.#sliceMs;
    rest.#slices = new Map(ranked.filter((each, rank) => rank >= slices || each.slow === 0).map(({ entry }) => entry));
    return rest;
  }

  #counts(): [bucket: number, count: number][] {
    return [...this.#slices.values()].flatMap((slice) => [...slice]);
  }

  #join(): void {
    const joined = new Map<number, Slice>();
    for (const [number, slice] of this.#slices) {
      const half = Math.floor(number / 2);
      const target = joined.get(half) ?? new Map();
      joined.set(half, target);
      for (const [bucket, amount] of slice) count(target, bucket, amount);
    }
    this.#slices = joined;
    this.#sliceMs *= 2;
    // Buckets that lie far apart do not become fewer at once.
    if (joined.size > MAX_SLICES) this.#join();
  }
}

function count(slice: Slice, bucket: number, amount: number): void {
  slice.set(bucket, (slice.get(bucket) ?? 0) + amount);
}
