/** Numbers as JSON, written into bytes: no string is made of them. */

/** No number takes more bytes. */
export const MAX_NUMBER_BYTES = 32;

const ZERO = 0x30;
const MINUS = 0x2d;
const POINT = 0x2e;
const LOWER_E = 0x65;
/** Numbers of so many digits before the point, or zeros behind it, are written without an exponent: as String() does. */
const MAX_WHOLE_DIGITS = 21;
const MAX_LEADING_ZEROS = 6;

/** From 1e-60 to 1e60; those up to 1e22 are exact. */
const MAX_POWER = 60;
const POWERS = Array.from({ length: 2 * MAX_POWER + 1 }, (_, index) => Number(`1e${index - MAX_POWER}`));
const MAX_EXACT_POWER = 22;
/** Relative error of a product or quotient with an inexact power. */
const POWER_ERROR = 2 ** -50;
/** Decimals of so few digits are all different as FP32, and of so many name each. */
const FEWEST_DIGITS = 6;
const MOST_DIGITS = 9;

const scratch = new Uint8Array(MAX_NUMBER_BYTES);

/** Writes an integer that a number holds exactly. @returns where it ends */
export function writeInteger(target: Uint8Array, start: number, value: number): number {
  let at = start;
  if (value < 0) {
    target[at] = MINUS;
    at += 1;
  }
  return copyDigits(target, at, digitsOf(Math.abs(value)));
}

/**
 * Writes a number of FP32 with the fewest digits that mean no other one: 0.1, not 0.10000000149011612. NaN and infinities are
 * written as Triton and Python write them. @returns where it ends
 */
export function writeFloat(target: Uint8Array, start: number, value: number): number {
  const size = Math.abs(value);
  if (size < 1e6 && Number.isInteger(value) && size !== 0) return writeInteger(target, start, value);
  if (size === 0 || !Number.isFinite(value)) return writeDouble(target, start, value);
  const magnitude = magnitudeOf(size);
  for (let digits = FEWEST_DIGITS; digits <= MOST_DIGITS; digits += 1) {
    const exponent = magnitude + 1 - digits;
    const whole = Math.round(times(size, -exponent));
    if (!isSameFloat(times(whole, exponent), size, exponent)) continue;
    let at = start;
    if (value < 0) {
      target[at] = MINUS;
      at += 1;
    }
    return writeDecimal(target, at, whole, exponent);
  }
  return writeText(target, start, String(value));
}

/** Writes a double as String() does, except for the sign of zero. @returns where it ends */
export function writeDouble(target: Uint8Array, start: number, value: number): number {
  return writeText(target, start, Object.is(value, -0) ? '-0.0' : String(value));
}

/** Writes ASCII. @returns where it ends */
export function writeText(target: Uint8Array, start: number, text: string): number {
  for (let i = 0; i < text.length; i += 1) target[start + i] = text.charCodeAt(i);
  return start + text.length;
}

/** The exponent of the first digit. */
function magnitudeOf(size: number): number {
  const near = Math.floor(Math.log10(size));
  if (size >= power(near + 1)) return near + 1;
  return size < power(near) ? near - 1 : near;
}

/** `value * 10 ** exponent`, correctly rounded where the power is exact and `value` is. */
function times(value: number, exponent: number): number {
  return exponent < 0 ? value / power(-exponent) : value * power(exponent);
}

function power(exponent: number): number {
  return POWERS[exponent + MAX_POWER] as number;
}

/** Whether a reader of the decimal that `near` stands for gets the FP32 `size`. */
function isSameFloat(near: number, size: number, exponent: number): boolean {
  if (Math.abs(exponent) <= MAX_EXACT_POWER) return Math.fround(near) === size;
  return Math.fround(near * (1 - POWER_ERROR)) === size && Math.fround(near * (1 + POWER_ERROR)) === size;
}

function writeDecimal(target: Uint8Array, start: number, whole: number, exponent: number): number {
  let digits = whole;
  let zeros = exponent;
  while (digits % 10 === 0) {
    digits /= 10;
    zeros += 1;
  }
  const count = digitsOf(digits);
  // Where the point is, from the first digit.
  const point = count + zeros;
  if (point > MAX_WHOLE_DIGITS || point <= -MAX_LEADING_ZEROS) return writeScientific(target, start, count, point - 1);
  let at = start;
  if (point <= 0) {
    at = writeText(target, at, '0.');
    for (let zero = point; zero < 0; zero += 1) target[at++] = ZERO;
    return copyDigits(target, at, count);
  }
  for (let digit = 0; digit < Math.max(count, point); digit += 1) {
    if (digit === point) target[at++] = POINT;
    target[at++] = digit < count ? (scratch[MAX_NUMBER_BYTES - count + digit] as number) : ZERO;
  }
  return at;
}

function writeScientific(target: Uint8Array, start: number, count: number, exponent: number): number {
  let at = start;
  for (let digit = 0; digit < count; digit += 1) {
    if (digit === 1) target[at++] = POINT;
    target[at++] = scratch[MAX_NUMBER_BYTES - count + digit] as number;
  }
  target[at++] = LOWER_E;
  return writeText(target, at, exponent < 0 ? String(exponent) : `+${exponent}`);
}

/** Puts the digits of a whole number at the end of `scratch`. @returns how many they are */
function digitsOf(whole: number): number {
  let at = MAX_NUMBER_BYTES;
  let rest = whole;
  while (rest > 0x7fff_ffff) {
    const quotient = Math.floor(rest / 10);
    scratch[--at] = ZERO + (rest - quotient * 10);
    rest = quotient;
  }
  let small = rest | 0;
  do {
    const quotient = (small / 10) | 0;
    scratch[--at] = ZERO + (small - quotient * 10);
    small = quotient;
  } while (small > 0);
  return MAX_NUMBER_BYTES - at;
}

function copyDigits(target: Uint8Array, start: number, count: number): number {
  for (let digit = 0; digit < count; digit += 1) {
    target[start + digit] = scratch[MAX_NUMBER_BYTES - count + digit] as number;
  }
  return start + count;
}
