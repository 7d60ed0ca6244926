/** Seeded random numbers, so that every run of a simulation is the same. */

import { normal, type Random } from '../../src/bench/random.ts';

export { exponential, gamma, normal, type Random, seeded } from '../../src/bench/random.ts';

/** A factor with median 1 whose logarithm has the standard deviation `sigma`. */
export function lognormal(sigma: number, random: Random): number {
  return sigma === 0 ? 1 : Math.exp(sigma * normal(random));
}
