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

/** Digits that are written together. */
const DIGITS_AT_ONCE = 9;
const MOST_AT_ONCE = 10 ** DIGITS_AT_ONCE;

/** The digits of 0 to 99, two bytes each: writing two digits at once takes half as many divisions. */
const PAIRS = Uint8Array.from(
  { length: 200 },
  (_, index) => ZERO + (index % 2 === 0 ? Math.floor(index / 20) : (index >> 1) % 10),
);

/** The bits of a FP32. */
const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);
const FRACTION_BITS = 23;
const EXPONENT_BIAS = 127;
const LOG10_OF_2 = Math.log10(2);

/** Writes an integer that a number holds exactly. @returns where it ends */
export function writeInteger(target: Uint8Array, start: number, value: number): number {
  let at = start;
  if (value < 0) {
    target[at] = MINUS;
    at += 1;
  }
  const size = Math.abs(value);
  if (size >= MOST_AT_ONCE) {
    const high = Math.floor(size / MOST_AT_ONCE);
    at = writeInteger(target, at, high);
    return putDigits(target, at, size - high * MOST_AT_ONCE, DIGITS_AT_ONCE);
  }
  return putDigits(target, at, size, countDigits(size));
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
  let at = start;
  if (value < 0) {
    target[at] = MINUS;
    at += 1;
  }
  for (let digits = FEWEST_DIGITS; digits <= MOST_DIGITS; digits += 1) {
    const exponent = magnitude + 1 - digits;
    if (exponent < 0 && exponent >= -MAX_EXACT_POWER) {
      // The same as below, for most numbers.
      const shift = power(-exponent);
      const whole = Math.round(size * shift);
      if (Math.fround(whole / shift) === size) return writeDecimal(target, at, whole, exponent);
      continue;
    }
    const whole = Math.round(times(size, -exponent));
    if (isSameFloat(times(whole, exponent), size, exponent)) return writeDecimal(target, at, whole, exponent);
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

/** The decimal exponent of the first digit of a FP32 above 0: by comparison where most numbers are, otherwise from its binary exponent. */
function magnitudeOf(size: number): number {
  if (size >= 1e-4 && size < 1e4) {
    if (size >= 1) return size < 100 ? (size < 10 ? 0 : 1) : size < 1e3 ? 2 : 3;
    return size >= 0.01 ? (size >= 0.1 ? -1 : -2) : size >= 1e-3 ? -3 : -4;
  }
  float[0] = size;
  const highest = ((bits[0] as number) >> FRACTION_BITS) - EXPONENT_BIAS;
  let magnitude = Math.floor(highest * LOG10_OF_2);
  if (size >= power(magnitude + 1)) magnitude += 1;
  // Subnormal numbers have one exponent for all.
  while (size < power(magnitude)) magnitude -= 1;
  return magnitude;
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
  // At most `MOST_DIGITS` digits: a division of such integers is cheap.
  let digits = whole | 0;
  let zeros = exponent;
  while (digits % 10 === 0) {
    digits = (digits / 10) | 0;
    zeros += 1;
  }
  const count = countDigits(digits);
  // Where the point is, from the first digit.
  const point = count + zeros;
  if (point > MAX_WHOLE_DIGITS || point <= -MAX_LEADING_ZEROS) {
    return writeScientific(target, start, digits, point - 1);
  }
  let at = start;
  if (point <= 0) {
    target[at++] = ZERO;
    target[at++] = POINT;
    for (let zero = point; zero < 0; zero += 1) target[at++] = ZERO;
    return putDigits(target, at, digits, count);
  }
  if (point >= count) {
    at = putDigits(target, at, digits, count);
    for (let zero = count; zero < point; zero += 1) target[at++] = ZERO;
    return at;
  }
  const behind = count - point;
  const shift = power(behind);
  const before = (digits / shift) | 0;
  at = putDigits(target, at, before, point);
  target[at++] = POINT;
  return putDigits(target, at, digits - before * shift, behind);
}

function writeScientific(target: Uint8Array, start: number, digits: number, exponent: number): number {
  const count = countDigits(digits);
  let at = putDigits(target, start, digits, count);
  if (count > 1) {
    target.copyWithin(start + 2, start + 1, at);
    target[start + 1] = POINT;
    at += 1;
  }
  target[at++] = LOWER_E;
  return writeText(target, at, exponent < 0 ? String(exponent) : `+${exponent}`);
}

/** Decimal digits of a positive integer of 31 bits. */
function countDigits(value: number): number {
  if (value < 1e5) return value < 1e3 ? (value < 10 ? 1 : value < 100 ? 2 : 3) : value < 1e4 ? 4 : 5;
  return value < 1e7 ? (value < 1e6 ? 6 : 7) : value < 1e9 ? (value < 1e8 ? 8 : 9) : 10;
}

/** Writes an integer of 31 bits in so many digits, from the last to the first. @returns where it ends */
function putDigits(target: Uint8Array, start: number, value: number, count: number): number {
  let rest = value | 0;
  let at = start + count;
  while (at - start >= 2) {
    const quotient = (rest / 100) | 0;
    const pair = (rest - quotient * 100) << 1;
    at -= 2;
    target[at] = PAIRS[pair] as number;
    target[at + 1] = PAIRS[pair + 1] as number;
    rest = quotient;
  }
  if (at > start) target[start] = ZERO + rest;
  return start + count;
}
