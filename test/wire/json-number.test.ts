import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonNumber } from '../../src/wire/json-number.ts';

const number = new JsonNumber();

/** Where the number at the beginning of `text` ends; -1: there is none. */
function read(text: string): number {
  return number.read(Buffer.from(`${text},`), 0);
}

function integer64(text: string, isSigned: boolean): bigint | undefined {
  const view = new DataView(new ArrayBuffer(8));
  if (read(text) !== text.length || !number.writeInteger64(view, 0, isSigned)) return undefined;
  return isSigned ? view.getBigInt64(0, true) : view.getBigUint64(0, true);
}

const digits = (most: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[0-9]{1,${most}}$`));
const whole = digits(25).map((text) => text.replace(/^0+(?=\d)/, ''));
const exponent = fc.tuple(fc.constantFrom('e', 'E'), fc.constantFrom('', '+', '-'), fc.integer({ min: 0, max: 330 }));

/** Decimals of every length. No program would print most of them. */
const decimal = fc
  .tuple(fc.constantFrom('', '-'), whole, fc.option(digits(25)), fc.option(exponent, { freq: 2 }))
  .map(([sign, integer, fraction, power]) => {
    return `${sign}${integer}${fraction === null ? '' : `.${fraction}`}${power === null ? '' : power.join('')}`;
  });

/** Just below, at and just above the middle of two neighbours, where rounding is hardest. */
const middle = fc
  .tuple(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(-1n, 0n, 1n))
  .map(([float, nudge]) => {
    const bits = new DataView(new ArrayBuffer(4));
    bits.setFloat32(0, float);
    bits.setUint32(0, bits.getUint32(0) + 1);
    const next = bits.getFloat32(0);
    const between = float + (next - float) / 2;
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, Number.isFinite(between) ? between : float);
    view.setBigUint64(0, view.getBigUint64(0) + nudge);
    return String(view.getFloat64(0));
  });

/** What programs print: doubles, FP32 widened to doubles, few digits, exponents. */
const printed = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.double({ noNaN: true, min: -1e3, max: 1e3 }).map((value) => value.toFixed(6)),
  fc.double({ noNaN: true, min: -1, max: 1 }).map((value) => value.toPrecision(21)),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.integer().map(String),
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 65n }).map(String),
  middle,
);

const MANY = { numRuns: 5_000 };

describe('a number of JSON', () => {
  test('is the double that JSON.parse makes of it', () => {
    fc.assert(
      fc.property(fc.oneof(decimal, printed), (text) => {
        expect(read(text)).toBe(text.length);
        expect(number.toDouble()).toBe(JSON.parse(text));
      }),
      MANY,
    );
  });

  test('is the FP32 that is nearest to that double', () => {
    fc.assert(
      fc.property(fc.oneof(decimal, printed), (text) => {
        read(text);
        expect(number.toFloat()).toBe(Math.fround(JSON.parse(text) as number));
      }),
      MANY,
    );
  });

  test('keeps every integer of 64 bits exact', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        expect(integer64(String(value), true)).toBe(value);
        const unsigned = BigInt.asUintN(64, value);
        expect(integer64(String(unsigned), false)).toBe(unsigned);
      }),
      MANY,
    );
  });

  test.each<[text: string, signed: bigint | undefined, unsigned: bigint | undefined]>([
    ['0', 0n, 0n],
    ['-0', 0n, 0n],
    ['-1', -1n, undefined],
    ['4294967296', 2n ** 32n, 2n ** 32n],
    ['-4294967296', -(2n ** 32n), undefined],
    ['9007199254740993', 9_007_199_254_740_993n, 9_007_199_254_740_993n],
    ['9223372036854775807', 2n ** 63n - 1n, 2n ** 63n - 1n],
    ['9223372036854775808', undefined, 2n ** 63n],
    ['-9223372036854775808', -(2n ** 63n), undefined],
    ['-9223372036854775809', undefined, undefined],
    ['18446744073709551615', undefined, 2n ** 64n - 1n],
    ['18446744073709551616', undefined, undefined],
    ['100000000000000000000000', undefined, undefined],
    ['1e3', 1_000n, 1_000n],
    ['12345678901234567.0', 12_345_678_901_234_567n, 12_345_678_901_234_567n],
    ['1.2345678901234567e16', 12_345_678_901_234_567n, 12_345_678_901_234_567n],
    ['1200E-2', 12n, 12n],
    ['0.0e5', 0n, 0n],
    ['1e19', undefined, 10n ** 19n],
    ['1.5', undefined, undefined],
    ['1e-1', undefined, undefined],
    ['1e99999999999', undefined, undefined],
    ['NaN', undefined, undefined],
    ['Infinity', undefined, undefined],
  ])('%s is an integer of 64 bits or is none', (text, signed, unsigned) => {
    expect([integer64(text, true), integer64(text, false)]).toEqual([signed, unsigned]);
  });

  test.each([
    ['NaN', Number.NaN],
    ['-NaN', Number.NaN],
    ['Infinity', Infinity],
    ['-Infinity', -Infinity],
    ['Inf', Infinity],
    ['-Inf', -Infinity],
    ['-0.0', -0],
    ['1e400', Infinity],
    ['1e-400', 0],
  ])('%s is read as other programs write it', (text, value) => {
    expect(read(text)).toBe(text.length);
    expect([number.toDouble(), number.toFloat()]).toEqual([value, value]);
  });

  test.each(['', '-', '+1', '.5', '1.', '01', '-01', '1e', '1e+', 'nan', 'infinity', 'N', 'x', '--1', '00'])(
    '%s is none',
    (text) => {
      expect(read(text)).toBe(-1);
    },
  );

  test('with thousands of digits is none, and costs no time', () => {
    expect(read('1'.repeat(1_999))).toBe(1_999);
    for (const text of ['1', '0.0', '1e', '0.'].map((head) => head + '0'.repeat(10_000_000))) {
      const begun = process.cpuUsage();
      for (let time = 0; time < 100; time += 1) read(text.slice(0, 3_000));
      expect(read(text)).toBe(-1);
      expect(process.cpuUsage(begun).user).toBeLessThan(1_000_000);
    }
  });
});
