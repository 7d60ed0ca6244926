import { describe, expect, test } from 'vitest';
import { RunFailure } from '../../../src/worker/run-failure.ts';
import type { PoolingOptions } from '../../../src/worker/step-spec.ts';
import { PoolingStep } from '../../../src/worker/steps/pooling.ts';

function bytes(values: Float32Array | BigInt64Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values.buffer as ArrayBuffer);
}

const MASK = [1n, 1n, 0n];

/** Pools one row of three tokens of two elements: the last token is padding. */
function pooled(options: Partial<PoolingOptions>, mask: readonly bigint[] = MASK): number[] {
  const states = bytes(Float32Array.of(3, 4, 1, -2, 100, 100));
  const step = new PoolingStep({ kind: 'pooling', mode: 'mean', normalize: false, ...options });
  const [output] = step.run([
    { shape: [1, 3, 2], data: states },
    { shape: [1, mask.length], data: bytes(BigInt64Array.from(mask)) },
  ]);
  const values = output?.data as Uint8Array<ArrayBuffer>;
  return [...new Float32Array(values.buffer)];
}

describe('the vector of a row', () => {
  test.each([
    ['mean', [2, 1]],
    ['cls', [3, 4]],
    ['last', [1, -2]],
    ['max', [3, 4]],
  ] as const)('takes its tokens by %s, without the padding', (mode, vector) => {
    expect(pooled({ mode })).toEqual(vector);
  });

  test.each(['mean', 'last', 'max'] as const)('is zeros by %s where all is padding', (mode) => {
    expect(pooled({ mode, normalize: true }, [0n, 0n, 0n])).toEqual([0, 0]);
  });

  test('is scaled to the length 1, after it is cut', () => {
    expect(pooled({ mode: 'cls', normalize: true })).toEqual([Math.fround(0.6), Math.fround(0.8)]);
    expect(pooled({ mode: 'cls', normalize: true, dimensions: 1 })).toEqual([1]);
  });
});

test('a mask of another shape is refused with both', () => {
  expect(() => pooled({}, [1n])).toThrow(RunFailure);
});

test('more dimensions than a token has are refused', () => {
  expect(() => pooled({ dimensions: 3 })).toThrow(RunFailure);
});
