import { describe, expect, test } from 'vitest';
import { fromBf16, fromFp16, toBf16, toFp16 } from '../../src/wire/half-precision.ts';

const ALL_BITS = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

describe('FP16', () => {
  test('reads every bit pattern as the platform does', () => {
    expect(Float64Array.from(ALL_BITS, fromFp16)).toEqual(Float64Array.from(new Float16Array(ALL_BITS.buffer)));
  });

  test('writes every value, and every point halfway between two of them, as the platform does', () => {
    const values = [...new Float16Array(ALL_BITS.buffer)].filter(Number.isFinite).sort((a, b) => a - b);
    const halfway = values.map((value, i) => (value + (values[i + 1] ?? value)) / 2);
    const near = halfway.flatMap((value) => [value * (1 + 2 ** -40), value * (1 - 2 ** -40)]);
    const all = [...values, ...halfway, ...near, Infinity, -Infinity, 1e300, 65_519.99, 65_520, 2 ** -25, 2 ** -26];
    expect(Uint16Array.from(all, toFp16)).toEqual(new Uint16Array(Float16Array.from(all).buffer));
    expect(fromFp16(toFp16(Number.NaN))).toBeNaN();
  });
});

describe('BF16', () => {
  test('is the upper half of a binary32', () => {
    expect(fromBf16(0x3fc0)).toBe(1.5);
    expect(fromBf16(0xff80)).toBe(-Infinity);
  });

  test('comes back for every bit pattern except NaN', () => {
    const numbers = ALL_BITS.filter((bits) => !Number.isNaN(fromBf16(bits)));
    expect(numbers.map((bits) => toBf16(fromBf16(bits)))).toEqual(numbers);
    expect(fromBf16(toBf16(Number.NaN))).toBeNaN();
  });

  test('rounds to the nearest, and halfway to the even one', () => {
    const step = 2 ** -7;
    expect(fromBf16(toBf16(1 + step / 2))).toBe(1);
    expect(fromBf16(toBf16(1 + 1.5 * step))).toBe(1 + 2 * step);
    expect(fromBf16(toBf16(1 + 0.51 * step))).toBe(1 + step);
    expect(fromBf16(toBf16(3.4e38))).toBe(Infinity);
  });
});
