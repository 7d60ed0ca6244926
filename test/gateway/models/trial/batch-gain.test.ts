import { describe, expect, test } from 'vitest';
import { describeLackOfGain, findBatchGain } from '../../../../src/gateway/models/trial/batch-gain.ts';
import type { Measured } from '../../../../src/gateway/models/trial/warm-up.ts';

/** Two runs of each size; the second is slower by a neighbour. */
function sweep(sizes: readonly (readonly [rows: number, elapsedMs: number])[], openAxisSize = 16): Measured[] {
  return sizes.flatMap(([rows, elapsedMs]) => [
    { openAxisSize, rows, elapsedMs },
    { openAxisSize, rows, elapsedMs: elapsedMs * 3 },
  ]);
}

test('the size with the least time per row shows the gain, by the fastest run of each size', () => {
  const measured = sweep([
    [1, 10],
    [4, 20],
    [8, 32],
    [16, 96],
  ]);
  expect(findBatchGain(measured)).toEqual({ rows: 8, batchMs: 32, oneByOneMs: 80 });
});

describe('whether batching pays', () => {
  test('is reported where the best batch takes as long as its rows one by one', () => {
    const flat = sweep([
      [1, 10],
      [2, 20],
      [4, 39.4],
      [8, 82],
    ]);
    expect(describeLackOfGain(findBatchGain(flat))).toBe(
      'batching does not pay for this model: 4 rows take 39.4 ms in one batch and 40 ms one by one; max_batch_size: 0 turns it off',
    );
  });

  test.each([
    [
      'one size of batch is faster',
      sweep([
        [1, 10],
        [4, 48],
        [8, 60],
      ]),
    ],
    [
      'no batch of four rows was measured in time',
      sweep([
        [1, 900],
        [2, 1_800],
      ]),
    ],
    ['nothing was measured', []],
    [
      'only longer rows gain nothing',
      [
        ...sweep([
          [1, 10],
          [4, 20],
        ]),
        ...sweep(
          [
            [1, 10],
            [4, 60],
          ],
          64,
        ),
      ],
    ],
  ])('is not denied where %s', (_, measured) => {
    expect(describeLackOfGain(findBatchGain(measured))).toBeUndefined();
  });
});
