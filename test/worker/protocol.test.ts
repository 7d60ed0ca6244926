import fc from 'fast-check';
import { expect, test } from 'vitest';
import { aligned, TENSOR_ALIGNMENT } from '../../src/worker/protocol.ts';

test('an aligned offset is the next multiple, and one that is aligned stays', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 31 - 1), (offset) => {
      const next = aligned(offset);
      expect(next % TENSOR_ALIGNMENT).toBe(0);
      expect(next - offset).toBeGreaterThanOrEqual(0);
      expect(next - offset).toBeLessThan(TENSOR_ALIGNMENT);
      expect(aligned(next)).toBe(next);
    }),
  );
});
