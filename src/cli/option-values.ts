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
