/**
 * Isotonic regression by pooling adjacent violators (Barlow et al., 1972): of weighted values, the nearest that never fall.
 * Values that fall form a pool with their weighted mean.
 */

export class IsotonicPools {
  #pools = 0;
  #values = 0;
  readonly #means: number[] = [];
  readonly #weights: number[] = [];
  /** How many values lie in this pool and before it. */
  readonly #ends: number[] = [];

  clear(): void {
    this.#pools = 0;
    this.#values = 0;
  }

  add(value: number, weight: number): void {
    let mean = value;
    let total = weight;
    let last = this.#pools - 1;
    for (; last >= 0; last--) {
      const lastMean = this.#means[last] ?? 0;
      if (lastMean <= mean) break;
      const lastWeight = this.#weights[last] ?? 0;
      mean = (mean * total + lastMean * lastWeight) / (total + lastWeight);
      total += lastWeight;
    }
    this.#values++;
    this.#means[last + 1] = mean;
    this.#weights[last + 1] = total;
    this.#ends[last + 1] = this.#values;
    this.#pools = last + 2;
  }

  meanOf(pool: number): number {
    return this.#means[pool] ?? 0;
  }

  endOf(pool: number): number {
    return this.#ends[pool] ?? this.#values;
  }
}
