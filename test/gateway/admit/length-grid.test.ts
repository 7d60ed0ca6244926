import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bucketKey } from '../../../src/gateway/admit/infer-tensors.ts';
import { edgeOf, paddedTo } from '../../../src/gateway/admit/length-grid.ts';
import type { LengthAxis } from '../../../src/gateway/repository/signature/length-axis.ts';
import { fillerOf } from '../../../src/gateway/repository/signature/pad-value.ts';
import type { Datatype, Shape } from '../../../src/wire/tensor.ts';

function padded(datatype: Datatype, value = 0): { readonly axis: number; readonly filler: Uint8Array } {
  return { axis: 1, filler: fillerOf(datatype, value) ?? new Uint8Array(0) };
}

/** Ids and a mask, both INT64 of one byte range. */
const LENGTHS: LengthAxis = {
  inputs: new Map([
    [0, padded('INT64')],
    [1, padded('INT64')],
  ]),
  mask: 1,
  outputs: new Map(),
};

function int64(...values: readonly number[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
}

describe('the grid of lengths', () => {
  test('begins at 8 and grows by a quarter, in multiples of 4', () => {
    const edges = [...new Set(Array.from({ length: 512 }, (_, index) => edgeOf(index + 1)))];
    expect(edges).toEqual([8, 12, 16, 20, 28, 36, 48, 60, 76, 96, 120, 152, 192, 240, 300, 376, 472, 592]);
  });

  test('has one edge for each length, which is not below it, and at most a third above it from 8 on', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0x7fff_ffff }), (length) => {
        const edge = edgeOf(length);
        expect(edge).toBeGreaterThanOrEqual(length);
        expect(edgeOf(edge)).toBe(edge);
        if (length > 8) expect(edge).toBeLessThanOrEqual(Math.ceil(length * 1.34));
      }),
    );
  });
});

describe('a request is padded', () => {
  const cases: readonly { name: string; shapes: readonly Shape[]; mask: Uint8Array; edge: number | undefined }[] = [
    {
      name: 'up to its edge',
      shapes: [
        [1, 2],
        [1, 2],
      ],
      mask: int64(1, 1),
      edge: 8,
    },
    {
      name: 'where its mask ends early',
      shapes: [
        [1, 3],
        [1, 3],
      ],
      mask: int64(1, 0, 0),
      edge: 8,
    },
    {
      name: 'where its mask begins late',
      shapes: [
        [1, 3],
        [1, 3],
      ],
      mask: int64(0, 0, 1),
      edge: 8,
    },
    {
      name: 'with all its rows',
      shapes: [
        [2, 2],
        [2, 2],
      ],
      mask: int64(1, 0, 0, 1),
      edge: 8,
    },
    {
      name: 'not where a row is padding alone',
      shapes: [
        [2, 2],
        [2, 2],
      ],
      mask: int64(1, 0, 0, 0),
      edge: undefined,
    },
    {
      name: 'not where its inputs differ in length',
      shapes: [
        [1, 2],
        [1, 3],
      ],
      mask: int64(1, 1, 1),
      edge: undefined,
    },
    {
      name: 'not where its mask is to be broadcast',
      shapes: [
        [1, 2],
        [1, 1],
      ],
      mask: int64(1),
      edge: undefined,
    },
    {
      name: 'not where it has no elements',
      shapes: [
        [1, 0],
        [1, 0],
      ],
      mask: int64(),
      edge: undefined,
    },
  ];

  test.each(cases)('$name', ({ shapes, mask, edge }) => {
    expect(paddedTo(shapes, [int64(...Array(6).fill(7)), mask], LENGTHS)).toBe(edge);
  });

  test('where the pad value of the mask is not 0, by that value', () => {
    const lengths = {
      ...LENGTHS,
      inputs: new Map([
        [0, padded('INT64')],
        [1, padded('FP32', -10_000)],
      ]),
    };
    const mask = (...values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
    const shapes = [
      [1, 2],
      [1, 2],
    ];
    expect(paddedTo(shapes, [int64(1, 2), mask(0, 0)], lengths)).toBe(8);
    expect(paddedTo(shapes, [int64(1, 2), mask(-10_000, -10_000)], lengths)).toBeUndefined();
  });
});

describe('buckets', () => {
  const inputs = [{}, {}, {}];
  const key = (shapes: readonly Shape[], mask = int64(...Array(64).fill(1))): string =>
    bucketKey(shapes, 'rows', inputs, [int64(0), mask], LENGTHS);

  test('hold the lengths between two edges, and any number of rows', () => {
    expect(
      key([
        [1, 9],
        [1, 9],
        [1, 4],
      ]),
    ).toBe(
      key([
        [5, 12],
        [5, 12],
        [5, 4],
      ]),
    );
    expect(
      key([
        [1, 8],
        [1, 8],
        [1, 4],
      ]),
    ).not.toBe(
      key([
        [1, 9],
        [1, 9],
        [1, 4],
      ]),
    );
  });

  test('are of exact sizes on the other axes', () => {
    expect(
      key([
        [1, 9],
        [1, 9],
        [1, 4],
      ]),
    ).not.toBe(
      key([
        [1, 9],
        [1, 9],
        [1, 5],
      ]),
    );
  });

  test('have exact lengths for unpadded requests, and never the lengths of padded ones', () => {
    const blank = int64(...Array(12).fill(0));
    expect(
      key(
        [
          [1, 9],
          [1, 9],
        ],
        blank,
      ),
    ).not.toBe(
      key(
        [
          [1, 10],
          [1, 10],
        ],
        blank,
      ),
    );
    expect(
      key(
        [
          [1, 12],
          [1, 12],
        ],
        blank,
      ),
    ).not.toBe(
      key([
        [1, 12],
        [1, 12],
      ]),
    );
    expect(
      key([
        [1, 9],
        [1, 10],
      ]),
    ).not.toBe(
      key([
        [1, 10],
        [1, 10],
      ]),
    );
  });

  test('have exact lengths for a model without padding', () => {
    expect(bucketKey([[1, 9]], 'rows', inputs)).not.toBe(bucketKey([[1, 10]], 'rows', inputs));
  });
});
