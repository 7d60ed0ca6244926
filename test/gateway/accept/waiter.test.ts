import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { CancelReason } from '../../../src/gateway/accept/call.ts';
import { limit, reject, release, resolve, type Waiter, watch } from '../../../src/gateway/accept/waiter.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { FakeCall } from '../../support/fake-call.ts';

const ERROR = new InferError('cancelled', 'the caller cancelled the request');

/** A waiter, and all outcomes that it received. */
function waiterOf(call = new FakeCall()) {
  const outcomes: unknown[] = [];
  const waiter: Waiter<string> = {
    call,
    settled: false,
    timer: undefined,
    resolve: (outcome) => outcomes.push(outcome),
    reject: (error) => outcomes.push(error),
  };
  const reasons: CancelReason[] = [];
  const abandon = (abandoned: Waiter<string>, reason: CancelReason): void => {
    expect(abandoned).toBe(waiter);
    reasons.push(reason);
  };
  return { call, waiter, outcomes, reasons, abandon };
}

describe('a waiter', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('WAIT-1: a waiter takes its first outcome and ignores all later ones', () => {
    const { waiter, outcomes } = waiterOf();
    expect([resolve(waiter, 'answer'), resolve(waiter, 'other'), reject(waiter, ERROR)]).toEqual([true, false, false]);
    expect(outcomes).toEqual(['answer']);
  });

  test('WAIT-1: a rejected waiter ignores an answer', () => {
    const { waiter, outcomes } = waiterOf();
    expect([reject(waiter, ERROR), resolve(waiter, 'late')]).toEqual([true, false]);
    expect(outcomes).toEqual([ERROR]);
  });

  test('WAIT-2: a watched waiter is abandoned with the reason of its call', () => {
    const { call, waiter, reasons, abandon } = waiterOf();
    watch(waiter, abandon);
    call.cancel('connection');
    expect(reasons).toEqual(['connection']);
  });

  test('WAIT-2: a call takes no second holder before the first has released it', () => {
    const call = new FakeCall();
    const [one, other] = [waiterOf(call), waiterOf(call)];
    watch(one.waiter, one.abandon);
    expect(() => watch(other.waiter, other.abandon)).toThrow('has a holder');
    release(one.waiter);
    watch(other.waiter, other.abandon);
    call.cancel();
    expect([one.reasons, other.reasons]).toEqual([[], ['client']]);
  });

  test('WAIT-3: a time limit that ends before the call abandons the waiter for its deadline', () => {
    const { waiter, reasons, abandon } = waiterOf(new FakeCall(performance.now() + 100));
    limit(waiter, 50, performance.now(), abandon);
    vi.advanceTimersByTime(49);
    expect(reasons).toEqual([]);
    vi.advanceTimersByTime(2);
    expect(reasons).toEqual(['deadline']);
  });

  test.each([
    ['ends with the call', 100],
    ['ends after the call', 200],
    ['never ends', Number.POSITIVE_INFINITY],
  ])('WAIT-3: a time limit that %s has no timer', (_, limitMs) => {
    const { waiter, abandon } = waiterOf(new FakeCall(performance.now() + 100));
    limit(waiter, limitMs, performance.now(), abandon);
    expect([waiter.timer, vi.getTimerCount()]).toEqual([undefined, 0]);
  });

  test('WAIT-3: a time limit beyond the longest timer of Node has no timer, which would fire at once', () => {
    const { waiter, abandon } = waiterOf();
    limit(waiter, 2 ** 31, performance.now(), abandon);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ['resolved', (waiter: Waiter<string>) => resolve(waiter, 'answer')],
    ['rejected', (waiter: Waiter<string>) => reject(waiter, ERROR)],
    ['released', (waiter: Waiter<string>) => release(waiter)],
  ])('WAIT-4: a %s waiter leaves neither a timer nor a holder of its call', (_, end) => {
    const { call, waiter, reasons, abandon } = waiterOf();
    watch(waiter, abandon);
    limit(waiter, 50, performance.now(), abandon);
    end(waiter);
    expect([call.onCancel, vi.getTimerCount()]).toEqual([undefined, 0]);
    vi.advanceTimersByTime(100);
    expect(reasons).toEqual([]);
  });
});
