/** What simulated machines do to runs: cores that are shared, stalls, fair parts of a capacity. */

import { describe, expect, test } from 'vitest';
import { Cores } from '../../../bench/simulate/cores.ts';
import { between, capacity, RESNET_50, runMs } from '../../../bench/simulate/curves.ts';
import { disturbedMs, stall } from '../../../bench/simulate/disturbance.ts';
import { fairShares } from '../../../bench/simulate/fair-share.ts';
import { VirtualClock } from '../../../bench/simulate/virtual-clock.ts';

describe('runs on shared cores', () => {
  test('each get an equal part where they are more than the cores', async () => {
    using clock = new VirtualClock();
    const cores = new Cores(clock, 1);
    const ends: Record<string, number> = {};
    clock.at(0, () => cores.start(10, () => (ends['long'] = clock.now)));
    clock.at(2, () => cores.start(3, () => (ends['short'] = clock.now)));
    await clock.run();
    // From 2 on both run at half speed: the short one for 6 ms, then the long one has 5 left.
    expect(ends).toEqual({ short: 8, long: 13 });
  });

  test('do not slow each other where there are enough', async () => {
    using clock = new VirtualClock();
    const cores = new Cores(clock, 2);
    const ends: number[] = [];
    for (const work of [5, 7]) cores.start(work, () => ends.push(clock.now));
    await clock.run();
    expect(ends).toEqual([5, 7]);
  });
});

describe('a disturbance', () => {
  test('holds a run up for as long as a stall lasts', () => {
    expect(disturbedMs(10, 0, [stall(5, 100)])).toBe(110);
    expect(disturbedMs(10, 50, [stall(5, 100)])).toBe(65);
    expect(disturbedMs(5, 0, [stall(5, 100)])).toBe(5);
    expect(disturbedMs(10, 200, [stall(5, 100)])).toBe(10);
  });

  test('slows only the part of a run that falls into it', () => {
    const slow = { fromMs: 10, toMs: 20, slowdown: 2 };
    expect(disturbedMs(4, 12, [slow])).toBe(8);
    expect(disturbedMs(10, 5, [slow])).toBe(15);
    expect(disturbedMs(20, 5, [slow, stall(22, 3)])).toBe(28);
  });
});

test('a fair share is an equal part, and what a modest claimant leaves goes to the others', () => {
  expect(fairShares(1, [0.1, 0.8, 0.8])).toEqual([0.1, 0.45, 0.45]);
  expect(fairShares(1, [0.2, 0.3])).toEqual([0.2, 0.3]);
  expect(fairShares(1, [2, 2, 2, 2])).toEqual([0.25, 0.25, 0.25, 0.25]);
});

test('a curve is straight between its measured sizes, and its capacity is reached at its best size', () => {
  const curve = {
    ...RESNET_50,
    maxRows: 4,
    table: between([
      [1, 10],
      [2, 12],
      [4, 40],
    ]),
  };
  expect([1, 2, 3, 4, 9].map((rows) => runMs(curve, rows))).toEqual([10, 12, 26, 40, 40]);
  expect(capacity(curve)).toBe(2 / 12);
});
