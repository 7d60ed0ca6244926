/** Parsers of option values that several commands take. The message of a wrong value says what is expected. */

import { InvalidArgumentError } from 'commander';

export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Expected a whole number above 0.');
  return Number(text);
}

/** Parses `0.1` or `10%`. The server validates the range. */
export function parseShare(text: string): number {
  const [, digits = '', percent] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text) ?? [];
  const share = percent === '%' ? Number(digits) / 100 : Number(digits);
  if (digits === '' || share > 1) throw new InvalidArgumentError('Expected a share, such as 0.1 or 10%.');
  return share;
}

export function parseAmount(text: string): number {
  if (!/^\d+(\.\d+)?(e-?\d+)?$/i.test(text)) throw new InvalidArgumentError('Expected a number that is not negative.');
  return Number(text);
}

export function parseSteps(text: string): number[] {
  const steps = text.split(',').map((part) => part.trim().replace(/\s*%$/, ''));
  if (!steps.every((step) => /^\d+(\.\d+)?$/.test(step))) {
    throw new InvalidArgumentError('Expected ascending percentages, the last of them 100: 1,10,50,100.');
  }
  return steps.map(Number);
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000 };

/** In milliseconds; a number without a unit is seconds. */
export function parseDuration(text: string): number {
  const [, digits, unit = 's'] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('Expected a time, such as 500ms, 30s or 5m.');
  return Math.round(Number(digits) * (UNITS_MS[unit] ?? 1_000));
}

export function parseReal(text: string): number {
  if (!/^\d{1,3}(\.\d+)?$/.test(text)) throw new InvalidArgumentError('Expected a number from 0, such as 0.5.');
  return Number(text);
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

export function parseBytes(text: string): number {
  const [, number, unit = ''] = /^(\d{1,15}(?:\.\d+)?) ?(kB|MB|GB|KiB|MiB|GiB)?$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('Expected a number of bytes, such as 5000000 or 5MB.');
  return Math.floor(Number(number) * (UNITS[unit] ?? 1));
}

/** Values are separated by commas, or the flag is repeated. */
export function collectList(text: string, before: readonly string[] = []): readonly string[] {
  const values = text.split(',').map((value) => value.trim());
  if (values.includes('')) throw new InvalidArgumentError('Expected names, separated by commas.');
  return [...before, ...values];
}
