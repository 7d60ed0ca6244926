/** When requests arrive, in milliseconds from 0, ascending. */

import { azureArrivals } from './azure-trace.ts';
import { exponential, gamma, seeded } from './random.ts';

export const ARRIVAL_KINDS = [
  'poisson',
  'gamma2',
  'gamma4',
  'gamma8',
  'flash',
  'azure-code',
  'azure-conversation',
] as const;

export type ArrivalKind = (typeof ARRIVAL_KINDS)[number];

export const ARRIVAL_TITLES: Readonly<Record<ArrivalKind, string>> = {
  poisson: 'Poisson',
  gamma2: 'Gamma, CV 2',
  gamma4: 'Gamma, CV 4',
  gamma8: 'Gamma, CV 8',
  flash: 'three flash crowds of 10 times the rate',
  'azure-code': 'Azure LLM 2023, code',
  'azure-conversation': 'Azure LLM 2023, conversation',
};

/** @param ratePerMs the mean rate. */
export function arrivalsOf(kind: ArrivalKind, ratePerMs: number, count: number, seed: number): Float64Array {
  switch (kind) {
    case 'poisson':
      return poisson(ratePerMs, count, seed);
    case 'gamma2':
      return gammaArrivals(2, ratePerMs, count, seed);
    case 'gamma4':
      return gammaArrivals(4, ratePerMs, count, seed);
    case 'gamma8':
      return gammaArrivals(8, ratePerMs, count, seed);
    case 'flash':
      return flashCrowds(ratePerMs, count, seed);
    case 'azure-code':
    case 'azure-conversation':
      return azureArrivals(kind, ratePerMs, count, seed);
  }
}

export function poisson(ratePerMs: number, count: number, seed: number): Float64Array {
  const random = seeded(seed);
  return accumulate(count, () => exponential(random) / ratePerMs);
}

/** Gaps with a coefficient of variation `cv`: above 1 arrivals come in bursts. */
export function gammaArrivals(cv: number, ratePerMs: number, count: number, seed: number): Float64Array {
  const random = seeded(seed);
  const shape = 1 / (cv * cv);
  return accumulate(count, () => gamma(shape, random) / (shape * ratePerMs));
}

/** Share of the time that belongs to crowds, how much more arrives in them, and about when they begin. */
const CROWD_SHARE = 0.08;
const CROWD_FACTOR = 10;
const CROWD_STARTS = [0.15, 0.45, 0.8];

/** Poisson at a steady rate, but for three crowds. */
export function flashCrowds(ratePerMs: number, count: number, seed: number): Float64Array {
  const random = seeded(seed);
  const base = ratePerMs / (1 - CROWD_SHARE + CROWD_FACTOR * CROWD_SHARE);
  const span = count / ratePerMs;
  const length = (CROWD_SHARE * span) / CROWD_STARTS.length;
  const starts = CROWD_STARTS.map((start) => (start + 0.05 * (random() - 0.5)) * span);
  let now = 0;
  return accumulate(count, () => {
    // The gap is an exponential amount of expected arrivals, whose rate changes at the edges of the crowds.
    const before = now;
    for (let amount = exponential(random); ; ) {
      const crowd = starts.find((start) => now >= start && now < start + length);
      const rate = crowd === undefined ? base : CROWD_FACTOR * base;
      const edge = crowd === undefined ? Math.min(...starts.filter((start) => start > now)) : crowd + length;
      if (now + amount / rate <= edge) {
        now += amount / rate;
        return now - before;
      }
      amount -= (edge - now) * rate;
      now = edge;
    }
  });
}

function accumulate(count: number, gap: () => number): Float64Array {
  const arrivals = new Float64Array(count);
  let now = 0;
  for (let index = 0; index < count; index++) {
    now += gap();
    arrivals[index] = now;
  }
  return arrivals;
}
