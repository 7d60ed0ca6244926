import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { PreparedCall } from '../../src/bench/call-target.ts';
import { closedLoop, openLoop } from '../../src/bench/loops.ts';
import { seeded } from '../../src/bench/random.ts';

const OK = { status: 'OK', details: '' };

function windowOf(warmUpMs: number, durationMs: number) {
  const startAt = performance.now();
  return { startAt, openAt: startAt + warmUpMs, closeAt: startAt + warmUpMs + durationMs };
}

test('a closed loop keeps exactly so many calls under way', async () => {
  let underWay = 0;
  let most = 0;
  const call: PreparedCall = async () => {
    most = Math.max(most, ++underWay);
    await delay(2);
    underWay--;
    return OK;
  };
  const tally = await closedLoop([call], 5, windowOf(0, 100), 1_000);
  expect(most).toBe(5);
  expect(underWay).toBe(0);
  expect(tally.answers).toBeGreaterThan(0);
});

test('a closed loop counts no call that ends during the warm-up', async () => {
  const ends: number[] = [];
  const call: PreparedCall = async () => {
    await delay(1);
    ends.push(performance.now());
    return OK;
  };
  const window = windowOf(100, 100);
  const tally = await closedLoop([call], 1, window, 1_000);
  expect(ends.filter((end) => end < window.openAt).length).toBeGreaterThan(0);
  expect(tally.answers).toBeLessThanOrEqual(ends.filter((end) => end >= window.openAt - 1).length);
});

test('rows are sent in turn', async () => {
  const sent: number[] = [];
  const calls = [0, 1, 2].map(
    (row): PreparedCall =>
      async () => {
        sent.push(row);
        await delay(1);
        return OK;
      },
  );
  await closedLoop(calls, 1, windowOf(0, 60), 1_000);
  expect(sent.every((row, index) => row === index % 3)).toBe(true);
});

test('latency in an open loop begins when a call is due, also if the client sends it late', async () => {
  const HOLD_MS = 30;
  // The caller's own work delays each call after it: a generator that begins to measure when it sends would not see that.
  const call: PreparedCall = async () => {
    const end = performance.now() + HOLD_MS;
    while (performance.now() < end);
    return OK;
  };
  const { startAt, ...window } = windowOf(0, 300);
  const load = { ratePerS: 100, arrivals: 'poisson', random: seeded(1) } as const;
  const tally = await openLoop([call], load, startAt, window, 1_000);
  expect(tally.answers).toBeGreaterThan(10);
  // Call n is due after 10 n ms, and ends after 30 n ms.
  expect(tally.latency()?.max).toBeGreaterThan(5 * HOLD_MS);
  expect(tally.shareSentAfter(HOLD_MS)).toBeGreaterThan(0.5);
});

test('an open loop does not wait for answers, and counts failures', async () => {
  let underWay = 0;
  let most = 0;
  const call: PreparedCall = async () => {
    most = Math.max(most, ++underWay);
    await delay(400);
    underWay--;
    return { status: 'RESOURCE_EXHAUSTED', details: 'queue full' };
  };
  const { startAt, ...window } = windowOf(0, 200);
  const load = { ratePerS: 200, arrivals: 'gamma', random: seeded(2) } as const;
  const tally = await openLoop([call], load, startAt, window, 1_000);
  expect(most).toBeGreaterThan(1);
  expect(tally.failures).toEqual({ RESOURCE_EXHAUSTED: tally.calls });
});
