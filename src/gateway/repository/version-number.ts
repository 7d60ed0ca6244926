/** Numbers of versions: up to 64 bits as in Triton, so that dates and milliseconds are versions. They are texts, because numbers would lose digits. */

import { z } from 'zod';

/** Triton: a decimal number above 0 without leading zeros. */
const FORM = /^[1-9][0-9]{0,18}$/;
const MOST = 2n ** 63n - 1n;
/** For errors. */
export const VERSION_RANGE = `from 1 to ${MOST}, without leading zeros`;

export function isVersionName(name: string): boolean {
  return FORM.test(name) && isVersionNumber(name);
}

/** Whether a request may name it, as far as its form goes. */
export function isVersionNumber(text: string): boolean {
  return /^[0-9]{1,19}$/.test(text) && (text.length < 19 || BigInt(text) <= MOST);
}

/** For sorting: ascending as numbers. */
export function compareVersions(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** In configurations: a number, or a text, as JSON of protobuf has it. Above 2^53 a number of YAML has lost digits already. */
export const VERSION_NUMBER = z.union(
  [z.int().min(1).transform(String), z.string().regex(FORM).refine(isVersionName)],
  { error: 'expected a version number; one above 9007199254740991 needs quotes' },
);

export const VERSION_KEY = z
  .string()
  .regex(FORM, 'expected a version number')
  .refine(isVersionName, 'expected a version number of 64 bits');
