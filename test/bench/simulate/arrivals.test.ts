import { describe, expect, test } from 'vitest';
import { ARRIVAL_KINDS, arrivalsOf } from '../../../bench/simulate/arrivals.ts';
import { azureTokens } from '../../../bench/simulate/azure-trace.ts';

const RATE = 0.5;

function gapsOf(arrivals: Float64Array): number[] {
  return Array.from(arrivals, (time, index) => time - (index === 0 ? 0 : (arrivals[index - 1] ?? 0)));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Standard deviation over mean. */
function variationOf(values: readonly number[]): number {
  const mean = meanOf(values);
  return Math.sqrt(meanOf(values.map((value) => (value - mean) ** 2))) / mean;
}

describe.each(ARRIVAL_KINDS)('arrivals of kind %s', (kind) => {
  test('ascend, have the rate that was asked for, and are the same for the same seed', () => {
    const arrivals = arrivalsOf(kind, RATE, 5_000, 3);
    expect(gapsOf(arrivals).every((gap) => gap >= 0)).toBe(true);
    const seeds = Array.from({ length: 20 }, (_, seed) => arrivalsOf(kind, RATE, 5_000, seed));
    const rates = seeds.map((times) => times.length / (times.at(-1) ?? 0));
    expect(meanOf(rates) / RATE).toBeGreaterThan(0.9);
    expect(meanOf(rates) / RATE).toBeLessThan(1.15);
    expect(arrivalsOf(kind, RATE, 5_000, 3)).toEqual(arrivals);
    expect(arrivalsOf(kind, RATE, 5_000, 4)).not.toEqual(arrivals);
  });
});

test.each([
  ['poisson', 1],
  ['gamma2', 2],
  ['gamma4', 4],
  ['gamma8', 8],
] as const)('gaps of %s have the coefficient of variation %i', (kind, expected) => {
  const gaps = Array.from({ length: 10 }, (_, seed) => gapsOf(arrivalsOf(kind, RATE, 20_000, seed))).flat();
  expect(variationOf(gaps) / expected).toBeGreaterThan(0.95);
  expect(variationOf(gaps) / expected).toBeLessThan(1.05);
});

test('a flash crowd brings ten times the rate of the time before it', () => {
  const arrivals = arrivalsOf('flash', RATE, 20_000, 1);
  const span = arrivals.at(-1) ?? 0;
  const counts = Array.from({ length: 100 }, (_, index) => {
    const [from, to] = [(index * span) / 100, ((index + 1) * span) / 100];
    return arrivals.filter((time) => time >= from && time < to).length;
  }).sort((one, other) => one - other);
  expect((counts.at(-2) ?? 0) / (counts[50] ?? 0)).toBeGreaterThan(8);
  expect((counts.at(-2) ?? 0) / (counts[50] ?? 0)).toBeLessThan(12);
});

test('the Azure traces are complete, and as bursty and as long as they were published', () => {
  const code = arrivalsOf('azure-code', RATE, 8_800, 1);
  const conversation = arrivalsOf('azure-conversation', RATE, 19_000, 1);
  expect(variationOf(gapsOf(code))).toBeGreaterThan(12);
  expect(variationOf(gapsOf(conversation))).toBeLessThan(1.3);
  const tokens = [...azureTokens('azure-code')].sort((one, other) => one - other);
  expect(tokens).toHaveLength(8_819);
  expect(tokens[Math.floor(tokens.length / 2)]).toBe(1_469);
  expect(azureTokens('azure-conversation')).toHaveLength(19_366);
  expect(() => arrivalsOf('azure-code', RATE, 9_000, 1)).toThrow('has 8819 arrivals');
});
