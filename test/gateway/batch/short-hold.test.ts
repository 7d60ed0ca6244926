import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mostRows } from '../../../src/gateway/batch/batch-rows.ts';
import { decide } from '../../../src/gateway/batch/dynamic-batcher.ts';
import type { Returning } from '../../../src/gateway/batch/returning-callers.ts';
import type { BatchPolicy, Bucket } from '../../../src/gateway/batch/waiting.ts';
import { bucket, NOW, waiting } from '../../support/waiting.ts';

const POLICY: BatchPolicy = { maxRows: 8, maxDelayMs: 0, preferredRows: [] };
/** Two batches take 4 ms more than one. */
const steep = (rows: number): number => 4 + 0.5 * rows;
/** Six rows are about to come, whose batch has just ended. */
const SIX: Returning = { bucket: '', rows: 6, sinceMs: NOW, withinMs: 1 };

interface Case {
  readonly name: string;
  readonly buckets?: readonly Bucket[];
  readonly policy?: Partial<BatchPolicy>;
  readonly returning?: Partial<Returning>;
  readonly idle?: number;
  readonly now?: number;
}

function decided({ buckets = [bucket(waiting(2), steep)], policy, returning, idle = 1, now = NOW }: Case) {
  return decide(buckets, { ...POLICY, ...policy }, idle, now, { ...SIX, ...returning });
}

describe('an idle instance waits for callers who come back', () => {
  test('for at most three quarters of the time that the larger batch saves', () => {
    expect(decided({ name: 'held' })).toEqual({ kind: 'wait', until: NOW + 3 });
    expect(decided({ name: 'held', now: NOW + 2.9 })).toEqual({ kind: 'wait', until: NOW + 3 });
    expect(decided({ name: 'over', now: NOW + 3 }).kind).toBe('run');
  });

  test('as long as there is time for the batch that they make, and for the lateness of a timer', () => {
    // Held until 3 ms from now, up to 2 ms late, and 8 rows take 8 ms.
    const by = (ms: number): Case => ({ name: 'deadline', buckets: [bucket(waiting(2, NOW + ms), steep)] });
    expect(decided(by(13))).toEqual({ kind: 'wait', until: NOW + 3 });
    expect(decided(by(12.9)).kind).toBe('run');
  });

  test('until the batch is as large as pays', () => {
    const eight = bucket(waiting(8), steep);
    expect(decided({ name: 'full', buckets: [eight] }).kind).toBe('run');
    expect(decided({ name: 'all but full', buckets: [bucket(waiting(7), steep)] }).kind).toBe('wait');
    const flat = (rows: number): number => 100 * rows;
    expect(decided({ name: 'flat', buckets: [bucket(waiting(2), flat)] }).kind).toBe('run');
  });

  const NEVER: readonly Case[] = [
    { name: 'they take longer to come back than a hold lasts', returning: { withinMs: 3.1 } },
    { name: 'the time of a batch is not known', buckets: [bucket(waiting(2))] },
    { name: 'several instances are idle', idle: 2 },
    { name: 'the operator names sizes', policy: { preferredRows: [2, 4] } },
  ];
  test.each(NEVER)('but not where $name', (given) => {
    expect(decided(given).kind).toBe('run');
  });

  test('and a configured delay counts instead', () => {
    const oldest = NOW - 1;
    expect(decided({ name: 'delay', policy: { maxDelayMs: 20 } })).toEqual({ kind: 'wait', until: oldest + 20 });
  });

  test('never so long that a request is late for it', () => {
    const sizes = fc.integer({ min: 1, max: 7 });
    const times = fc.double({ min: 0.01, max: 20, noNaN: true });
    fc.assert(
      fc.property(sizes, sizes, times, times, times, fc.double({ min: 0, max: 40, noNaN: true }), (...given) => {
        const [here, rows, fixedMs, rowMs, withinMs, leftMs] = given;
        const predict = (size: number): number => fixedMs + size * rowMs;
        const held = bucket(waiting(here, NOW + leftMs), predict);
        const decision = decided({ name: 'any', buckets: [held], returning: { rows, withinMs } });
        if (decision.kind !== 'wait') return;
        // All of them, or as many as pay: where rows hardly get cheaper, the first of them go without the others.
        const batch = Math.min(here + rows, mostRows(held, POLICY));
        expect(decision.until + predict(batch)).toBeLessThanOrEqual(NOW + leftMs);
        expect(decision.until - NOW).toBeLessThan(fixedMs);
      }),
    );
  });
});
