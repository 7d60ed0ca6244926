/**
 * One number of a JSON text, read from its bytes without a string: exact integers of 64 bits, correctly rounded floats.
 *
 * A number is `head * 10^tailDigits + tail`, times `10^exponent`: at most 15 digits in `head` and 5 in `tail`, which covers all
 * integers of 64 bits and all floats as programs print them. Longer ones, and exponents whose powers of ten are not exact,
 * take the slow way over their text.
 */

import { hasWord } from './json-bytes.ts';

/** The powers of ten that a double holds exactly. */
const POWERS = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent);
const MAX_POWER = 22;
/** Below it, `head` takes one more digit and is still exact. */
const HEAD_FULL = 1e14;
const MAX_TAIL_DIGITS = 5;
/** Largest relative difference between `head` and all digits, with the error of one multiplication: 1.1e-14. */
const HEAD_ERROR = 2 ** -46;
/** Relative error of a quotient of two doubles. */
const QUOTIENT_ERROR = 2 ** -98;
const TWO_32 = 2 ** 32;
/** Exponents beyond it make every number zero or infinite. */
const MAX_EXPONENT = 100_000;
/** The longest exact form of a double has 1,077 digits: a longer text is no number, and is rejected without parsing. */
const MAX_LENGTH = 2_000;

const ZERO = 0x30;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const UPPER_E = 0x45;
const LOWER_E = 0x65;
const NAN = Buffer.from('NaN');
const INFINITY = Buffer.from('Infinity');
const INF = Buffer.from('Inf');

export class JsonNumber {
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #negative = false;
  #head = 0;
  #tail = 0;
  #tailDigits = 0;
  /** Digits that neither `head` nor `tail` has. */
  #isCut = false;
  #exponent = 0;
  /** NaN or an infinity; 0 for all that is written in digits. */
  #word = 0;

  /**
   * Reads the number at `start`, as JSON has it; also NaN, Infinity and Inf, as Python's json.dumps and RapidJSON write them.
   * @param bytes a byte that is no part of a number follows it
   * @returns where the number ends; -1: there is none
   */
  read(bytes: Buffer, start: number): number {
    let at = start;
    this.#bytes = bytes;
    this.#start = start;
    this.#negative = bytes[at] === MINUS;
    if (this.#negative) at += 1;
    const first = at;
    const limit = start + MAX_LENGTH;
    let head = 0;
    let digit = (bytes[at] as number) - ZERO;
    while (digit >= 0 && digit <= 9 && head < HEAD_FULL && at < limit) {
      head = head * 10 + digit;
      at += 1;
      digit = (bytes[at] as number) - ZERO;
    }
    if (at === first) return this.#readWord(at);
    // A leading zero must stand by itself before the point.
    if (bytes[first] === ZERO && at > first + 1) return -1;
    let exponent = 0;
    let tail = 0;
    let tailDigits = 0;
    let isCut = false;
    while (digit >= 0 && digit <= 9 && at < limit) {
      if (tailDigits < MAX_TAIL_DIGITS) {
        tail = tail * 10 + digit;
        tailDigits += 1;
      } else {
        if (digit !== 0) isCut = true;
        exponent += 1;
      }
      at += 1;
      digit = (bytes[at] as number) - ZERO;
    }
    if (bytes[at] === POINT) {
      at += 1;
      const fraction = at;
      digit = (bytes[at] as number) - ZERO;
      if (tailDigits === 0) {
        while (digit >= 0 && digit <= 9 && head < HEAD_FULL && at < limit) {
          head = head * 10 + digit;
          at += 1;
          digit = (bytes[at] as number) - ZERO;
        }
        exponent -= at - fraction;
      }
      while (digit >= 0 && digit <= 9 && at < limit) {
        if (tailDigits < MAX_TAIL_DIGITS) {
          tail = tail * 10 + digit;
          tailDigits += 1;
          exponent -= 1;
        } else if (digit !== 0) isCut = true;
        at += 1;
        digit = (bytes[at] as number) - ZERO;
      }
      if (at === fraction) return -1;
    }
    this.#head = head;
    this.#tail = tail;
    this.#tailDigits = tailDigits;
    this.#isCut = isCut;
    this.#exponent = exponent;
    this.#word = 0;
    this.#end = at;
    if (at === limit) return -1;
    if (bytes[at] === LOWER_E || bytes[at] === UPPER_E) return this.#readExponent(at + 1, limit);
    return at;
  }

  #readExponent(start: number, limit: number): number {
    let at = start;
    const sign = this.#bytes[at];
    if (sign === MINUS || sign === PLUS) at += 1;
    const first = at;
    let exponent = 0;
    let digit = (this.#bytes[at] as number) - ZERO;
    while (digit >= 0 && digit <= 9 && at < limit) {
      if (exponent < MAX_EXPONENT) exponent = exponent * 10 + digit;
      at += 1;
      digit = (this.#bytes[at] as number) - ZERO;
    }
    this.#end = at;
    if (at === first || at === limit) return -1;
    this.#exponent += sign === MINUS ? -exponent : exponent;
    return at;
  }

  #readWord(at: number): number {
    const word = [NAN, INFINITY, INF].find((letters) => hasWord(this.#bytes, at, letters));
    if (word === undefined) return -1;
    this.#word = word === NAN ? Number.NaN : this.#negative ? -Infinity : Infinity;
    this.#end = at + word.length;
    return this.#end;
  }

  toDouble(): number {
    if (this.#word !== 0) return this.#word;
    const exponent = this.#exponent;
    const tailDigits = this.#tailDigits;
    if (!this.#isCut && exponent >= -MAX_POWER && exponent <= MAX_POWER) {
      if (tailDigits === 0) return this.#signed(scaled(this.#head, exponent));
      const quotient = exponent > 0 ? undefined : this.#quotient(POWERS[-exponent] as number);
      if (quotient !== undefined) return this.#signed(quotient);
    }
    return Number(this.text);
  }

  /** The FP32 that is nearest to the nearest double, as a number. */
  toFloat(): number {
    if (this.#word !== 0) return this.#word;
    const exponent = this.#exponent + this.#tailDigits;
    if (exponent >= -2 * MAX_POWER && exponent <= MAX_POWER) {
      const isExact = exponent >= -MAX_POWER && this.#tailDigits === 0;
      const near =
        exponent < -MAX_POWER ? scaled(this.#head / 1e22, exponent + MAX_POWER) : scaled(this.#head, exponent);
      if (isExact) return Math.fround(this.#signed(near));
      // Where both ends of what the number can be have the same neighbour, it is the number's.
      const float = Math.fround(near * (1 - HEAD_ERROR));
      if (float === Math.fround(near * (1 + HEAD_ERROR))) return this.#signed(float);
    }
    return Math.fround(this.toDouble());
  }

  /**
   * Writes the number as 8 little-endian bytes, where it is an integer that they hold.
   * @returns false: it is not; nothing is written
   */
  writeInteger64(view: DataView, offset: number, isSigned: boolean): boolean {
    if (this.#word !== 0) return false;
    if (this.#exponent !== 0 || this.#isCut) return this.#writeInteger64Slowly(view, offset, isSigned);
    const headHigh = Math.floor(this.#head / TWO_32);
    const shift = POWERS[this.#tailDigits] as number;
    const low = (this.#head - headHigh * TWO_32) * shift + this.#tail;
    let high = headHigh * shift + Math.floor(low / TWO_32);
    let word = low >>> 0;
    if (this.#negative) {
      if (!isSigned) {
        if (word !== 0 || high !== 0) return false;
      } else if (high > 0x8000_0000 || (high === 0x8000_0000 && word !== 0)) return false;
      word = -word >>> 0;
      high = (word === 0 ? -high : ~high) >>> 0;
    } else if (high >= (isSigned ? 0x8000_0000 : TWO_32)) return false;
    view.setUint32(offset, word, true);
    view.setUint32(offset + 4, high, true);
    return true;
  }

  /** For `1e3`, `10.0`, and more digits than integers have. */
  #writeInteger64Slowly(view: DataView, offset: number, isSigned: boolean): boolean {
    const whole = wholeOf(this.text);
    if (whole === undefined) return false;
    const fits = isSigned ? BigInt.asIntN(64, whole) === whole : BigInt.asUintN(64, whole) === whole;
    if (fits) view.setBigUint64(offset, BigInt.asUintN(64, whole), true);
    return fits;
  }

  /** As it stands in the JSON. */
  get text(): string {
    return this.#bytes.toString('latin1', this.#start, this.#end);
  }

  #signed(size: number): number {
    return this.#negative ? -size : size;
  }

  /**
   * Divides all digits by an exact power of ten with two quotients; the second divides the remainder of the first (Dekker, 1971).
   * @returns `undefined` if the last bit is uncertain
   */
  #quotient(divisor: number): number | undefined {
    const shift = POWERS[this.#tailDigits] as number;
    // The digits as the sum of two doubles.
    const product = this.#head * shift;
    const rest = productError(this.#head, shift, product) + this.#tail;
    const high = product + rest;
    const low = rest - (high - product);
    const first = high / divisor;
    const back = first * divisor;
    const second = (high - back - productError(first, divisor, back) + low) / divisor;
    const unknown = first * QUOTIENT_ERROR;
    const least = first + (second - unknown);
    return least === first + (second + unknown) ? least : undefined;
  }
}

/** Correctly rounded, for `digits` below 2^53. */
function scaled(digits: number, exponent: number): number {
  return exponent < 0 ? digits / (POWERS[-exponent] as number) : digits * (POWERS[exponent] as number);
}

const SPLITTER = 2 ** 27 + 1;

/** Difference between the exact product and `product`, which is `a * b` rounded (Veltkamp, 1968). */
function productError(a: number, b: number, product: number): number {
  const aSplit = SPLITTER * a;
  const aHigh = aSplit - (aSplit - a);
  const aLow = a - aHigh;
  const bSplit = SPLITTER * b;
  const bHigh = bSplit - (bSplit - b);
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}

const DECIMAL = /^(?<sign>-?)(?<whole>\d+)(?:\.(?<fraction>\d+))?(?:[eE](?<exponent>[+-]?\d+))?$/;
/** No integer of 64 bits has more digits. */
const MAX_DIGITS = 20;

/** The integer that a decimal is exactly; `undefined` where it is none, or has too many digits for 64 bits. */
function wholeOf(text: string): bigint | undefined {
  const { sign = '', whole = '', fraction = '', exponent = '0' } = DECIMAL.exec(text)?.groups ?? {};
  const all = (whole + fraction).replace(/^0+/, '');
  const digits = all.slice(0, all.length - trailingZeros(all));
  const zeros = Number(exponent) - fraction.length + all.length - digits.length;
  if (digits === '') return 0n;
  if (zeros < 0 || digits.length + zeros > MAX_DIGITS) return undefined;
  return BigInt(sign + digits + '0'.repeat(zeros));
}

function trailingZeros(digits: string): number {
  let count = 0;
  while (digits.at(-1 - count) === '0') count += 1;
  return count;
}
