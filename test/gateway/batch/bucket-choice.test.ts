import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Candidate, chooseCandidate } from '../../../src/gateway/batch/bucket-choice.ts';
import { LAST_TAG } from '../../../src/gateway/batch/queue-policy.ts';
import type { Waiting } from '../../../src/gateway/batch/waiting.ts';
import { FOREVER, flowOf, NOW, request } from '../../support/waiting.ts';

/** The candidate of `count` requests that have waited for `waitedMs` and have `leftMs` left, in a batch of `tookMs`. */
function candidate(
  bucket: number,
  tookMs: number | undefined,
  count: number,
  { waitedMs = 1, leftMs = 1_000, ...fields }: Partial<Waiting> & { waitedMs?: number; leftMs?: number } = {},
): Candidate {
  const requests = Array.from({ length: count }, () =>
    request({ rows: 1, arrivalMs: NOW - waitedMs, deadline: NOW + leftMs, ...fields }),
  );
  const [head] = requests;
  if (head === undefined) throw new Error('an candidate is not empty');
  return { bucket, head, tookMs, batch: { requests, rows: count, reason: 'idle' } };
}

function chosen(...candidates: readonly Candidate[]): number | undefined {
  return chooseCandidate(candidates, NOW)?.bucket;
}

describe('chooseCandidate', () => {
  test('there is no candidate', () => {
    expect(chosen()).toBeUndefined();
  });

  test('the batch that answers more in a millisecond goes first', () => {
    expect(chosen(candidate(0, 5, 3, { waitedMs: 2 }), candidate(1, 6, 30))).toBe(1);
    expect(chosen(candidate(0, 5, 3, { waitedMs: 2 }), candidate(1, 60, 30))).toBe(0);
  });

  test('requests that would be late after a batch of others count twice', () => {
    const others = candidate(1, 6, 5, { leftMs: 100 });
    expect(chosen(candidate(0, 5, 3, { waitedMs: 2, leftMs: 100 }), others)).toBe(1);
    expect(chosen(candidate(0, 5, 3, { waitedMs: 2, leftMs: 8 }), others)).toBe(0);
  });

  test('a head that would be late goes first where that costs the better batch no answer', () => {
    const rare = candidate(0, 2, 1, { waitedMs: 2, leftMs: 9 });
    expect(chosen(rare, candidate(1, 10, 60, { leftMs: 100 }))).toBe(0);
    expect(chosen(rare, candidate(1, 10, 60, { leftMs: 11 }))).toBe(1);
  });

  test('a head that has waited for one batch of every bucket goes first, whatever the others hold', () => {
    const crowd = candidate(1, 10, 60);
    expect(chosen(candidate(0, 2, 1, { waitedMs: 11.9 }), crowd)).toBe(1);
    expect(chosen(candidate(0, 2, 1, { waitedMs: 12.1 }), crowd)).toBe(0);
  });

  test('only buckets with a request of the next flow are weighed', () => {
    const due = candidate(0, 2, 1, { tag: 1, flow: flowOf(1) });
    const crowd = { waitedMs: 2, tag: 2 };
    expect(chosen(due, candidate(1, 10, 60, { ...crowd, flow: flowOf(2) }))).toBe(0);
    expect(chosen(due, candidate(1, 10, 60, { ...crowd, flow: flowOf(1) }))).toBe(1);
  });

  test('the lowest tag decides while the time of a batch is not known', () => {
    expect(chosen(candidate(0, undefined, 1, { waitedMs: 2 }), candidate(1, 10, 60))).toBe(0);
  });

  test('requests that wait behind all others go when nothing else waits', () => {
    const last = { tag: LAST_TAG, deadline: FOREVER, arrivalMs: 0 };
    expect(chosen(candidate(0, 1, 60, last), candidate(1, 10, 1))).toBe(1);
    expect(chosen(candidate(0, 1, 60, last))).toBe(0);
  });

  test('no bucket waits for longer than one batch of every bucket, and the batch that runs', () => {
    // The first bucket is as bad a choice as can be, and the others are never empty.
    const others = fc.array(fc.record({ tookMs: fc.double({ min: 1, max: 20, noNaN: true }), count: fc.nat(63) }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(others, (made) => {
        const round = made.reduce((sum, { tookMs }) => sum + tookMs, 30);
        const longest = Math.max(...made.map(({ tookMs }) => tookMs));
        let waitedMs = 0;
        for (;;) {
          const rivals = made.map(({ tookMs, count }, index) =>
            candidate(index + 1, tookMs, count + 1, { waitedMs: 0 }),
          );
          const next = chooseCandidate([candidate(0, 30, 1, { waitedMs, leftMs: FOREVER }), ...rivals], NOW);
          if (next === undefined || next.bucket === 0) break;
          waitedMs += next.tookMs ?? 0;
        }
        expect(waitedMs).toBeLessThanOrEqual(round + longest + 1e-6);
      }),
    );
  });
});
