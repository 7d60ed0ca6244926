/** When the calls of an open loop are due. */

import { exponential, gamma, type Random } from './random.ts';

export const ARRIVALS = ['poisson', 'gamma'] as const;
export type Arrivals = (typeof ARRIVALS)[number];

/** Coefficient of variation of the gaps of `gamma`: calls come in bursts. Poisson has 1. */
const GAMMA_VARIATION = 2;

/** Draws the time from one call to the next, in milliseconds, with a mean of `1000 / ratePerS`. */
export function gapMs(arrivals: Arrivals, ratePerS: number, random: Random): number {
  const meanMs = 1_000 / ratePerS;
  if (arrivals === 'poisson') return meanMs * exponential(random);
  const shape = 1 / GAMMA_VARIATION ** 2;
  return (meanMs * gamma(shape, random)) / shape;
}
