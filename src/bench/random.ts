/** Seeded random numbers, so that every run draws the same load. */

/** Uniform in [0, 1). */
export type Random = () => number;

/** Mulberry32: a small generator whose 32 bits of state are enough for some million numbers. */
export function seeded(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Exponential with mean 1. */
export function exponential(random: Random): number {
  return -Math.log(1 - random());
}

/** Standard normal, by Box and Muller's transformation. */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(Math.max(random(), 1e-12))) * Math.cos(2 * Math.PI * random());
}

/** Gamma with scale 1, by Marsaglia and Tsang's method (ACM Transactions on Mathematical Software, 2000). */
export function gamma(shape: number, random: Random): number {
  if (shape < 1) {
    const power = random();
    return gamma(shape + 1, random) * power ** (1 / shape);
  }
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    if (Math.log(random()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}
