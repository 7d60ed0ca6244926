import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type OutputBytes, OutputPool } from '../../../src/gateway/dispatch/output-pool.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('memory that was given back is taken by the next batch of about its size', () => {
  const pool = new OutputPool();
  const first = pool.take(600 * KIB);
  const { buffer } = first.bytes;
  first.giveBack();
  const second = pool.take(610 * KIB);
  expect(second.bytes.buffer).toBe(buffer);
  expect(second.bytes.byteLength).toBe(610 * KIB);
});

test('OUTPUT-1: memory of a batch is used again only once all of its requests have given it back', () => {
  const pool = new OutputPool();
  const batch = pool.take(MIB);
  batch.shareAmong(3);
  batch.giveBack();
  batch.giveBack();
  expect(pool.take(MIB).bytes.buffer).not.toBe(batch.bytes.buffer);
  batch.giveBack();
  expect(pool.take(MIB).bytes.buffer).toBe(batch.bytes.buffer);
});

test('a small batch does not take memory of twice its size, which a client that reads slowly would hold', () => {
  const pool = new OutputPool();
  pool.take(4 * MIB).giveBack();
  expect(pool.take(MIB).bytes.buffer.byteLength).toBeLessThanOrEqual(1.25 * MIB);
});

test('OUTPUT-2: memory is freed when no batch has taken it for a second, and at once above 16 MiB', () => {
  const pool = new OutputPool();
  const [one, other] = [pool.take(10 * MIB), pool.take(10 * MIB)];
  one.giveBack();
  other.giveBack();
  expect(other.bytes.byteLength, 'a view of freed memory is empty').toBe(0);
  expect(pool.spareBytes).toBe(10 * MIB);
  vi.advanceTimersByTime(1_000);
  expect(pool.spareBytes, 'it was taken in this second').toBe(10 * MIB);
  vi.advanceTimersByTime(1_000);
  expect(pool.spareBytes).toBe(0);
  expect(one.bytes.byteLength).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test('no two batches share memory while one of them is held, in any order of taking and giving back', () => {
  const step = fc.record({
    bytes: fc.oneof(fc.nat(64 * KIB), fc.integer({ min: KIB, max: 3 * MIB })),
    holders: fc.integer({ min: 1, max: 4 }),
    gives: fc.array(fc.nat(20), { maxLength: 6 }),
    pauseMs: fc.constantFrom(0, 0, 0, 600),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const pool = new OutputPool();
      const held: { readonly memory: OutputBytes; holders: number }[] = [];
      for (const { bytes, holders, gives, pauseMs } of steps) {
        const memory = pool.take(bytes);
        expect(memory.bytes.byteLength).toBe(bytes);
        for (const other of held) expect(memory.bytes.buffer).not.toBe(other.memory.bytes.buffer);
        memory.shareAmong(holders);
        held.push({ memory, holders });
        for (const give of gives) {
          const index = give % Math.max(1, held.length);
          const batch = held[index];
          if (batch === undefined) continue;
          batch.memory.giveBack();
          batch.holders--;
          if (batch.holders === 0) held.splice(index, 1);
        }
        vi.advanceTimersByTime(pauseMs);
        expect(pool.spareBytes).toBeLessThanOrEqual(16 * MIB);
        for (const { memory: other } of held)
          expect(other.bytes.buffer.byteLength).toBeGreaterThanOrEqual(other.bytes.byteLength);
      }
    }),
    { numRuns: 200 },
  );
});
