import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../bench/simulate/virtual-clock.ts';

describe('the virtual clock', () => {
  test('runs timers in the order of their times, and timers of the same time in the order in which they were set', async () => {
    using clock = new VirtualClock();
    const seen: string[] = [];
    setTimeout(() => seen.push(`b ${performance.now()}`), 20);
    setTimeout(() => seen.push(`a ${performance.now()}`), 10);
    setTimeout(() => seen.push(`c ${performance.now()}`), 20);
    clock.at(15, () => seen.push(`event ${Date.now()}`));
    await clock.run();
    expect(seen).toEqual(['a 10', 'event 15', 'b 20', 'c 20']);
  });

  test('settles promises before immediates, and both before time goes on', async () => {
    using clock = new VirtualClock();
    const seen: string[] = [];
    setTimeout(() => seen.push(`timer ${clock.now}`), 1);
    clock.at(0, () => {
      setImmediate(() => seen.push(`immediate ${clock.now}`));
      void Promise.resolve()
        .then(() => Promise.resolve())
        .then(() => seen.push(`promise ${clock.now}`));
    });
    await clock.run();
    expect(seen).toEqual(['promise 0', 'immediate 0', 'timer 1']);
  });

  test('runs what a promise schedules at the time at which it settled', async () => {
    using clock = new VirtualClock();
    const slept = new Promise<void>((resolve) => setTimeout(resolve, 5)).then(
      () => new Promise<void>((resolve) => setTimeout(resolve, 5)),
    );
    const at = slept.then(() => clock.now);
    await clock.run();
    expect(await at).toBe(10);
  });

  test('forgets cancelled timers and immediates', async () => {
    using clock = new VirtualClock();
    const seen: string[] = [];
    const timer = setTimeout(() => seen.push('timer'), 5);
    const immediate = setImmediate(() => seen.push('immediate'));
    clearTimeout(timer);
    clearImmediate(immediate);
    clearTimeout(undefined);
    await clock.run();
    expect(seen).toEqual([]);
    expect(clock.now).toBe(0);
  });

  test('stops before the first event after a given time, and goes on from there', async () => {
    using clock = new VirtualClock();
    const seen: number[] = [];
    for (const time of [1, 2, 3]) clock.at(time, () => seen.push(clock.now));
    await clock.run(2);
    expect(seen).toEqual([1, 2]);
    await clock.run();
    expect(seen).toEqual([1, 2, 3]);
  });

  test('gives the real timers and clocks back when it is disposed', () => {
    const before = [setTimeout, clearTimeout, setImmediate, clearImmediate, performance.now, Date.now];
    {
      using _clock = new VirtualClock();
      expect(setTimeout).not.toBe(before[0]);
    }
    expect([setTimeout, clearTimeout, setImmediate, clearImmediate, performance.now, Date.now]).toEqual(before);
  });
});
