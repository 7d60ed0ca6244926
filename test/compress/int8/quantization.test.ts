import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { quantizationOf, quantizeChannels } from '../../../src/compress/int8/quantization.ts';

const FLOAT = fc.float({ noNaN: true, min: -1e6, max: 1e6 });

describe('the quantization of a range', () => {
  test('has an integer for 0, and none of the range is farther than half a step away', () => {
    fc.assert(
      fc.property(FLOAT, FLOAT, fc.double({ min: 0, max: 1, noNaN: true }), (a, b, share) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const { scale, zero } = quantizationOf({ low, high });
        expect(Number.isInteger(zero) && zero >= 0 && zero <= 255).toBe(true);
        expect(scale).toBeGreaterThan(0);
        expect(Math.fround(scale)).toBe(scale);
        const value = low + (high - low) * share;
        const integer = Math.min(255, Math.max(0, Math.round(value / scale) + zero));
        // At the ends the rounding of the zero point comes on top.
        expect(Math.abs((integer - zero) * scale - value)).toBeLessThanOrEqual(scale * 1.0001);
      }),
    );
  });

  test('behind a ReLU has its zero at the least integer', () => {
    expect(quantizationOf({ low: 0, high: 51 })).toEqual({ scale: Math.fround(0.2), zero: 0 });
    expect(quantizationOf({ low: 3, high: 51 })).toEqual({ scale: Math.fround(0.2), zero: 0 });
  });

  test('exists for a range of only 0, and of almost nothing', () => {
    expect(quantizationOf({ low: 0, high: 0 })).toEqual({ scale: 1, zero: 0 });
    expect(quantizationOf({ low: 0, high: 1e-44 }).scale).toBeGreaterThan(0);
    expect(quantizationOf({ low: -7, high: -2 })).toMatchObject({ zero: 255 });
  });
});

describe('quantized weights', () => {
  test('are within half a step of their channel, and never -128', () => {
    const shapes = fc.constantFrom(
      { shape: [4, 3, 2], axis: 0 },
      { shape: [6, 4], axis: 1 },
      { shape: [4, 6], axis: 0 },
      { shape: [2, 4, 3], axis: 1 },
    );
    fc.assert(
      fc.property(shapes, fc.array(FLOAT, { minLength: 24, maxLength: 24 }), ({ shape, axis }, numbers) => {
        const values = Float32Array.from(numbers);
        const { integers, scales } = quantizeChannels(values, shape, axis);
        expect(scales.length).toBe(shape[axis]);
        const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
        for (const [index, value] of values.entries()) {
          const scale = scales[Math.floor(index / inner) % scales.length] ?? 0;
          const integer = integers[index] ?? 0;
          expect(integer).toBeGreaterThanOrEqual(-127);
          expect(Math.abs(integer * scale - value)).toBeLessThanOrEqual(scale * 0.5001);
        }
      }),
    );
  });

  test('have a scale even for a channel of zeros, never below the least scale', () => {
    const { integers, scales } = quantizeChannels(Float32Array.of(0, 0, 127, 1), [2, 2], 0, {
      least: (channel) => channel * 2,
    });
    expect([...scales]).toEqual([1, 2]);
    expect([...integers]).toEqual([0, 0, 64, 1]);
  });
});
