/** Parsers of the option values of `bench`. */

import { InvalidArgumentError } from 'commander';

const MAX_LEVELS = 64;
const NUMBER = /^\d+(\.\d+)?$/;
const EXPECTED = 'Expected 100, 10,20,50, 100:2000 (doubles) or 100:2000:100 (steps), from 1 to 1000000.';

/**
 * Parses the levels of load: a number, numbers separated by commas, `FROM:TO`, which doubles, or `FROM:TO:STEP`. `TO` is always a level.
 */
export function parseLevels(text: string): readonly number[] {
  const parts = text.split(/[:,]/);
  const numbers = parts.map(Number);
  if (!parts.every((part) => NUMBER.test(part)) || numbers.some((number) => number < 1 || number > 1e6)) {
    throw new InvalidArgumentError(EXPECTED);
  }
  const levels = text.includes(':') ? rangeOf(text, numbers) : numbers;
  if (levels.length > MAX_LEVELS) {
    throw new InvalidArgumentError(`It has ${levels.length} levels; at most ${MAX_LEVELS} are run.`);
  }
  return [...new Set(levels)].sort((a, b) => a - b);
}

/** As `parseLevels`, of whole numbers. */
export function parseWholeLevels(text: string): readonly number[] {
  const levels = parseLevels(text);
  if (levels.every(Number.isInteger)) return levels;
  throw new InvalidArgumentError('Expected whole numbers of calls.');
}

function rangeOf(text: string, numbers: readonly number[]): number[] {
  const [from = 1, to = 1, step] = numbers;
  if (text.includes(',') || numbers.length > 3 || to < from) throw new InvalidArgumentError(EXPECTED);
  const levels: number[] = [];
  for (let at = from; at < to && levels.length <= MAX_LEVELS; at = step === undefined ? at * 2 : at + step) {
    levels.push(at);
  }
  return [...levels, to];
}

const UNITS_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
]);

/** Parses `50ms`, `10s` or `1m` into milliseconds. */
export function parseDuration(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  const ms = Number(digits) * (UNITS_MS.get(unit) ?? Number.NaN);
  if (digits === '' || !(ms >= 0) || ms > 24 * 3_600_000) {
    throw new InvalidArgumentError('Expected a time with a unit, such as 50ms, 10s or 1m.');
  }
  return ms;
}

/** As `parseDuration`, above 0. */
export function parseTime(text: string): number {
  const ms = parseDuration(text);
  if (ms > 0) return ms;
  throw new InvalidArgumentError('Expected a time above 0.');
}

/** Parses a percentile such as `99` or `99.9` into a share. */
export function parsePercentile(text: string): number {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  if (value > 0 && value <= 100) return value / 100;
  throw new InvalidArgumentError('Expected a percentile above 0 and up to 100, such as 99.');
}
