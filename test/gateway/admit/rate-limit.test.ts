import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RateLimit } from '../../../src/gateway/admit/rate-limit.ts';
import type { InferError } from '../../../src/gateway/errors.ts';
import { diagnostics, type TenantCharged } from '../../../src/gateway/ops/diagnostics.ts';

const KEY = 'x-tenant';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000, toFake: ['performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

function from(tenant?: string | Uint8Array): { get(name: string): string | Uint8Array | undefined } {
  return { get: (name) => (name === KEY ? tenant : undefined) };
}

function limitOf(weights: Readonly<Record<string, number>> = {}, rate = 10, burst = 3): RateLimit {
  return new RateLimit({ key: KEY, rate, burst, weights: new Map(Object.entries(weights)) });
}

/** Why a request is refused now, if it is. */
function refusal(limit: RateLimit, tenant?: string | Uint8Array): InferError | undefined {
  return limit.charge(from(tenant));
}

/** How many of so many requests at once are let in. */
function admitted(limit: RateLimit, count: number, tenant?: string | Uint8Array): number {
  return Array.from({ length: count }, () => refusal(limit, tenant)).filter((error) => error === undefined).length;
}

test('after a pause a burst is let in, then as many as the rate says', () => {
  const limit = limitOf();
  expect(admitted(limit, 10)).toBe(3);
  vi.advanceTimersByTime(99);
  expect(admitted(limit, 10)).toBe(0);
  vi.advanceTimersByTime(1);
  expect(admitted(limit, 10)).toBe(1);
  vi.advanceTimersByTime(60_000);
  expect(admitted(limit, 10)).toBe(3);
});

test('a refusal says when there is a token again, and not much later', () => {
  const limit = limitOf();
  admitted(limit, 3);
  vi.advanceTimersByTime(40);
  const error = refusal(limit);
  expect(error?.reason).toBe('rate_limited');
  expect(error?.pushback).toBeGreaterThanOrEqual(60);
  expect(error?.pushback).toBeLessThanOrEqual(75);
  vi.advanceTimersByTime(60);
  expect(refusal(limit)).toBeUndefined();
});

test('a refused request takes no token: who keeps asking is let in as often as who waits', () => {
  const limit = limitOf();
  admitted(limit, 3);
  let more = 0;
  for (let ms = 0; ms < 1_000; ms += 5) {
    vi.advanceTimersByTime(5);
    more += admitted(limit, 4);
  }
  expect(more).toBe(10);
});

describe('tenants', () => {
  test('that are listed have a share of their own, as large as their weight', () => {
    const limit = limitOf({ gold: 4, slow: 0.5 });
    expect(admitted(limit, 100, 'gold')).toBe(12);
    expect(admitted(limit, 100, 'slow')).toBe(1);
    expect(admitted(limit, 100)).toBe(3);
    vi.advanceTimersByTime(1_000);
    expect([admitted(limit, 100, 'gold'), admitted(limit, 100, 'slow')]).toEqual([12, 1]);
  });

  test('that are not listed share one with those who name none: inventing names brings nothing', () => {
    const limit = limitOf({ gold: 1 });
    const names = Array.from({ length: 100 }, (_, index) => `invented-${index}`);
    const all = [undefined, new Uint8Array([1]), '', '__proto__', 'constructor', ...names];
    expect(all.filter((name) => refusal(limit, name) === undefined)).toHaveLength(3);
    expect(admitted(limit, 10, 'gold')).toBe(3);
  });

  test('that are not listed have together what `other` is listed with', () => {
    const limit = limitOf({ other: 2 });
    expect(admitted(limit, 100, 'somebody')).toBe(6);
    expect(admitted(limit, 100, 'other')).toBe(0);
  });

  test('with the smallest weight are let in at times', () => {
    const limit = limitOf({ tiny: 0.001 });
    expect(admitted(limit, 10, 'tiny')).toBe(1);
    vi.advanceTimersByTime(99_000);
    expect(admitted(limit, 10, 'tiny')).toBe(0);
    vi.advanceTimersByTime(2_000);
    expect(admitted(limit, 10, 'tiny')).toBe(1);
  });

  test('are reported only by listed names', () => {
    const events: TenantCharged[] = [];
    using _ = { [Symbol.dispose]: diagnostics.tenantCharged.subscribe((event) => events.push(event)) };
    const limit = limitOf({ gold: 1 }, 10, 1);
    for (const tenant of ['gold', 'gold', 'invented', undefined]) refusal(limit, tenant);
    expect(events).toEqual([
      { tenant: 'gold', outcome: 'admitted' },
      { tenant: 'gold', outcome: 'limited' },
      { tenant: 'other', outcome: 'admitted' },
      { tenant: 'other', outcome: 'limited' },
    ]);
  });
});

test('whatever the times, in no stretch more are let in than the burst and the rate allow', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 80 }), (gaps) => {
      const limit = limitOf();
      const letIn: number[] = [];
      let now = 0;
      for (const gap of gaps) {
        now += gap;
        vi.advanceTimersByTime(gap);
        if (refusal(limit) === undefined) letIn.push(now);
      }
      for (const [first, start] of letIn.entries()) {
        for (const [last, end] of letIn.entries()) {
          if (last < first) continue;
          expect(last - first + 1).toBeLessThanOrEqual(3 + (end - start) / 100 + 1e-6);
        }
      }
    }),
  );
});
