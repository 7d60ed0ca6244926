import { describe, expect, test } from 'vitest';
import { findClassOutput, largestOf, numbersOf } from '../../src/compare/class-output.ts';
import { toBf16, toFp16 } from '../../src/wire/half-precision.ts';
import type { Datatype } from '../../src/wire/tensor.ts';
import { signatureOf, spec } from '../support/infer-requests.ts';

function outputOf(datatype: Datatype, data: Uint8Array) {
  return { name: 'scores', datatype, shape: [1, 3], data };
}

const VALUES = [0.25, -1.5, 2];
const CLASSES = { name: 'scores', size: 3, names: ['cat', 'dog', 'frog'] };

describe('the class output of a model', () => {
  test.each([
    ['scores of rows', [-1, 10], 10],
    ['scores with axes of one', [-1, 1, 1, 10], 10],
    ['one score', [-1, 1], undefined],
    ['a map of scores', [-1, 4, 10], undefined],
    ['unknown many scores', [-1, -1], undefined],
  ] as const)('%s', (_, shape, size) => {
    expect(findClassOutput(signatureOf([], { outputs: [spec('y', 'FP32', [...shape])] }))?.size).toBe(size);
  });

  test('is the first that has scores, and never one of whole numbers', () => {
    const outputs = [spec('ids', 'INT64', [-1, 10]), spec('a', 'FP32', [-1, 5]), spec('b', 'FP32', [-1, 6])];
    expect(findClassOutput(signatureOf([], { outputs }))).toEqual({ name: 'a', size: 5, names: [] });
  });

  test('has no axis of rows when the model does not batch', () => {
    const batching = { kind: 'off' } as never;
    expect(findClassOutput(signatureOf([], { outputs: [spec('y', 'FP32', [10])], batching }))?.size).toBe(10);
  });
});

describe('the largest class', () => {
  test.each<[Datatype, Uint8Array]>([
    ['FP32', new Uint8Array(Float32Array.from(VALUES).buffer)],
    ['FP64', new Uint8Array(Float64Array.from(VALUES).buffer)],
    ['FP16', new Uint8Array(Uint16Array.from(VALUES, toFp16).buffer)],
    ['BF16', new Uint8Array(Uint16Array.from(VALUES, toBf16).buffer)],
  ])('is found in %s, wherever the bytes lie', (datatype, data) => {
    const shifted = Buffer.concat([Buffer.alloc(1), data]).subarray(1);
    for (const bytes of [data, shifted]) {
      expect(largestOf([outputOf(datatype, bytes)], CLASSES)).toEqual({ class: 2, name: 'frog', value: 2 });
    }
  });

  test('is the first of equal ones, and has no name where none is known', () => {
    const data = new Uint8Array(Float32Array.of(1, 1, 0).buffer);
    expect(largestOf([outputOf('FP32', data)], { ...CLASSES, names: [] })).toEqual({ class: 0, value: 1 });
  });

  test('rejects an output that is missing or not numeric, by its name', () => {
    expect(() => largestOf([], CLASSES)).toThrow("'scores'");
    expect(() => largestOf([outputOf('BYTES', new Uint8Array(4))], CLASSES)).toThrow("'scores'");
    expect(numbersOf(outputOf('INT64', new Uint8Array(8)))).toBeUndefined();
  });
});
