import { expect, test } from 'vitest';
import { RowLimits } from '../../../src/gateway/batch/row-limits.ts';

const MIB = 2 ** 20;
const OF_A = { bucket: 'a', bytes: 6 * MIB, rows: 2 };

function output(bytes: number) {
  return { name: 'y', datatype: 'UINT8', shape: [bytes], data: new Uint8Array(bytes) } as const;
}

test('a row has the bytes of its inputs, and of its outputs once they are known', () => {
  const limits = new RowLimits(64 * MIB, 64);
  expect(limits.of(OF_A)).toEqual({ maxRows: undefined, rowBytes: 3 * MIB });
  limits.learn('a', 4, [output(MIB), output(3 * MIB)]);
  expect(limits.of(OF_A).rowBytes).toBe(4 * MIB);
  expect(limits.of({ ...OF_A, bucket: 'b' }).rowBytes).toBe(3 * MIB);
  limits.learn('a', 4, [output(4)]);
  expect(limits.of(OF_A).rowBytes).toBe(3 * MIB);
});

test('outputs that are too large for the most rows limit the rows', () => {
  const limits = new RowLimits(MIB, 64);
  limits.learn('a', 1, [output(MIB)]);
  expect(limits.of(OF_A)).toEqual({ maxRows: 4, rowBytes: 4 * MIB });
  limits.learn('a', 1, [output(1)]);
  expect(limits.of(OF_A).maxRows).toBeUndefined();
});

test('among many buckets with large outputs only some are remembered', () => {
  const limits = new RowLimits(64 * MIB, 64);
  for (let number = 0; number < 100; number++) limits.learn(String(number), 1, [output(MIB)]);
  const known = Array.from({ length: 100 }, (_, number) => limits.of({ ...OF_A, bucket: String(number) }).rowBytes);
  expect(known.filter((bytes) => bytes === 4 * MIB)).toHaveLength(64);
});
