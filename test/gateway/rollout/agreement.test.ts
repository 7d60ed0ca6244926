import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OutputTensor } from '../../../src/gateway/batch/queued-request.ts';
import { type Agreement, Comparison } from '../../../src/gateway/rollout/agreement.ts';
import { toBf16, toFp16 } from '../../../src/wire/half-precision.ts';
import type { Shape } from '../../../src/wire/tensor.ts';
import { bytesOf } from '../../support/bytes-of.ts';

function fp32(values: readonly number[], shape: Shape = [values.length], name = 'y'): OutputTensor {
  return { name, datatype: 'FP32', shape, data: bytesOf(Float32Array.from(values)) };
}

function compare(
  a: OutputTensor | readonly OutputTensor[],
  b: OutputTensor | readonly OutputTensor[],
  slice?: number,
): Agreement {
  const comparison = new Comparison([a].flat(), [b].flat());
  while (!comparison.advance(slice));
  return comparison.agreement;
}

describe('floating-point outputs', () => {
  test('differ by the largest difference of two elements, and by the largest as a share of the larger', () => {
    expect(compare(fp32([1, -2, 0, 100]), fp32([1, -2.5, 0.25, 101]))).toEqual({
      result: 'different',
      absolute: 1,
      relative: 1,
      rowsAgreeing: 1,
      rowsDisagreeing: 0,
    });
  });

  test.each([
    ['zeros of either sign', [0, -0], [-0, 0], { result: 'equal', absolute: 0, relative: 0 }],
    ['what is no number in both', [Number.NaN], [Number.NaN], { result: 'equal', absolute: 0 }],
    ['what is no number in one', [Number.NaN], [1], { result: 'different', absolute: Infinity, relative: Infinity }],
    ['the same infinity', [Infinity], [Infinity], { result: 'equal', absolute: 0 }],
    ['two infinities', [Infinity], [-Infinity], { result: 'different', absolute: Infinity, relative: Infinity }],
    ['opposite numbers', [1], [-1], { result: 'different', absolute: 2, relative: 2 }],
  ])('%s', (_what, a, b, expected) => {
    expect(compare(fp32(a), fp32(b))).toMatchObject(expected);
  });

  test('with any width are read as numbers', () => {
    const halves = (
      convert: (value: number) => number,
      datatype: 'FP16' | 'BF16',
      values: readonly number[],
    ): OutputTensor => ({
      name: 'y',
      datatype,
      shape: [values.length],
      data: bytesOf(Uint16Array.from(values, convert)),
    });
    expect(compare(halves(toFp16, 'FP16', [1, 2]), halves(toFp16, 'FP16', [1, 2.5])).absolute).toBe(0.5);
    expect(compare(halves(toBf16, 'BF16', [1, 2]), halves(toBf16, 'BF16', [1, 4])).absolute).toBe(2);
    const double = (value: number): OutputTensor => ({
      ...fp32([]),
      datatype: 'FP64',
      shape: [1],
      data: bytesOf(Float64Array.of(value)),
    });
    expect(compare(double(1), double(1 + 1e-12)).absolute).toBeCloseTo(1e-12, 15);
  });

  test('agree in a row where its largest element has the same place in both', () => {
    const a = fp32([1, 2, 3, 3, 2, 1, 5, 5, 0], [3, 3]);
    const b = fp32([0, 1, 9, 1, 2, 3, 5, 5, 0], [3, 3]);
    expect(compare(a, b)).toMatchObject({ rowsAgreeing: 2, rowsDisagreeing: 1 });
    // A last axis of one has no largest.
    expect(compare(fp32([1, 2], [2, 1]), fp32([2, 1], [2, 1]))).toMatchObject({ rowsAgreeing: 0, rowsDisagreeing: 0 });
  });
});

describe('other outputs', () => {
  const bytes = (data: Uint8Array, datatype: 'INT8' | 'BYTES' = 'INT8', shape: Shape = [2]): OutputTensor => ({
    name: 'y',
    datatype,
    shape,
    data,
  });

  test('are equal or not', () => {
    expect(compare(bytes(Uint8Array.of(1, 2)), bytes(Uint8Array.of(1, 2)))).toMatchObject({ result: 'equal' });
    expect(compare(bytes(Uint8Array.of(1, 2)), bytes(Uint8Array.of(1, 3)))).toEqual({
      result: 'different',
      absolute: 0,
      relative: 0,
      rowsAgreeing: 0,
      rowsDisagreeing: 0,
    });
  });

  test('may be strings of different lengths', () => {
    const short = bytes(Uint8Array.of(0, 0, 0, 0), 'BYTES', [1]);
    const long = bytes(Uint8Array.of(1, 0, 0, 0, 65), 'BYTES', [1]);
    expect(compare(short, long)).toMatchObject({ result: 'different' });
    expect(compare(long, short)).toMatchObject({ result: 'different' });
    // Where the shorter ends, too.
    expect(compare(bytes(Uint8Array.of(), 'BYTES', [1]), long)).toMatchObject({ result: 'different' });
  });
});

test('outputs that the shadow lacks, or shapes differently, cannot be compared; its own besides do not matter', () => {
  const y = fp32([1, 2]);
  const z = fp32([1], [1], 'z');
  expect(compare([y, z], [z, y])).toMatchObject({ result: 'equal' });
  expect(compare([y], [y, z])).toMatchObject({ result: 'equal' });
  expect(compare([y, z], [y])).toMatchObject({ result: 'incomparable', absolute: 0 });
  expect(compare(y, fp32([1, 2], [1, 2]))).toMatchObject({ result: 'incomparable' });
  expect(compare(y, { ...y, datatype: 'INT32' })).toMatchObject({ result: 'incomparable' });
  expect(compare([], [])).toMatchObject({ result: 'equal' });
  expect(compare(fp32([], [0, 3]), fp32([], [0, 3]))).toMatchObject({ result: 'equal', rowsAgreeing: 0 });
});

test('the findings do not depend on the slices', () => {
  const value = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(Number.NaN, Infinity));
  const pair = fc
    .record({ rows: fc.integer({ min: 0, max: 4 }), columns: fc.integer({ min: 1, max: 5 }) })
    .chain(({ rows, columns }) => {
      const values = fc.array(value, { minLength: rows * columns, maxLength: rows * columns });
      return fc.tuple(values, values).map(([a, b]) => [fp32(a, [rows, columns]), fp32(b, [rows, columns])] as const);
    });
  fc.assert(
    fc.property(fc.array(pair, { maxLength: 4 }), fc.integer({ min: 1, max: 7 }), (pairs, slice) => {
      const named = (side: 0 | 1): OutputTensor[] => pairs.map((each, index) => ({ ...each[side], name: `y${index}` }));
      expect(compare(named(0), named(1), slice)).toEqual(compare(named(0), named(1)));
    }),
  );
});
