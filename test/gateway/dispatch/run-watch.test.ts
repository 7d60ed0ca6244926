import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type RunBounds, RunWatch } from '../../../src/gateway/dispatch/run-watch.ts';
import type { RunnerEnd } from '../../../src/gateway/dispatch/runner-end.ts';
import { MUCH_MEMORY, runMemoryLimit } from '../../../src/gateway/dispatch/runner-memory.ts';
import type { ThreadActivity } from '../../../src/gateway/dispatch/thread-activity.ts';

const HOUR_MS = 3_600_000;
const OVERRAN = { instance: 1, fault: 'overran' };
const ABANDONED = { instance: 1, fault: 'abandoned' };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** What the threads of a run do as time passes, in milliseconds since it began. */
type Course = (ranMs: number) => ThreadActivity | undefined;

const busy: Course = (ranMs) => ({ cpuMs: 10 * Math.floor(ranMs / 10), state: 'runnable' });
const starved: Course = () => ({ cpuMs: 70, state: 'runnable' });
const asleep: Course = () => ({ cpuMs: 70, state: 'sleeping' });
const stopped: Course = () => ({ cpuMs: 70, state: 'stopped' });
const unknown: Course = () => undefined;

/** A run, watched for as long as the test says. */
class Watched {
  end: RunnerEnd | undefined;
  endedAfterMs: number | undefined;
  readonly watch: RunWatch;

  constructor(course: Course, bounds: Partial<RunBounds> = {}, memory: () => number = () => 0, usesDevice = false) {
    const startedAt = performance.now();
    const watched = {
      memory,
      activity: () => Promise.resolve(course(performance.now() - startedAt)),
      kill: (end: RunnerEnd) => {
        if (this.end !== undefined) return;
        this.end = end;
        this.endedAfterMs = performance.now() - startedAt;
      },
    };
    this.watch = new RunWatch(1, watched, usesDevice);
    this.watch.start({ maxMs: HOUR_MS, ...bounds });
  }

  async for(ms: number): Promise<this> {
    await vi.advanceTimersByTimeAsync(ms);
    return this;
  }
}

/** The demand on an instance whose run stands in the way from a time on, on the clock of the run. */
function inTheWayFrom(ms: number, expectedMs = 0): NonNullable<RunBounds['demand']> {
  const startedAt = performance.now();
  return { expectedMs, isInTheWay: () => performance.now() - startedAt >= ms, wait: () => {} };
}

describe('a run that makes progress', () => {
  test.each<[string, Course]>([
    ['computes', busy],
    ['waits for a core all the time', starved],
    ['gets 10 ms of a core every second', (ranMs) => ({ cpuMs: 10 * Math.floor(ranMs / 1_000), state: 'sleeping' })],
    [
      'is stopped nine tenths of the time',
      (ranMs) => ({ cpuMs: 10 * Math.floor(ranMs / 100), state: ranMs % 100 < 90 ? 'stopped' : 'runnable' }),
    ],
    [
      'sleeps for less than two seconds at a time',
      (ranMs) => ({ cpuMs: 10 * Math.floor(ranMs / 1_900), state: 'sleeping' }),
    ],
  ])('is not ended: it %s', async (_, course) => {
    expect((await new Watched(course).for(600_000)).end).toBeUndefined();
  });

  test('is ended at its limit, above the two seconds of a hang or below them', async () => {
    for (const maxMs of [150, 1_500, 60_000]) {
      const { end, endedAfterMs } = await new Watched(busy, { maxMs }).for(maxMs + 10);
      expect(end).toEqual({ cause: `no answer within ${maxMs} ms`, timedOut: true, culprit: OVERRAN });
      expect(endedAfterMs).toBeCloseTo(maxMs, -1);
    }
  });

  test('ends by its answer, also one that arrives while the threads are looked at', async () => {
    const watched = new Watched(busy, { maxMs: 1_000 });
    await watched.for(999);
    vi.advanceTimersByTime(1);
    watched.watch.stop();
    await watched.for(1_000);
    expect(watched.end).toBeUndefined();
  });
});

describe('a run without progress', () => {
  test.each<[string, Course]>([
    ['sleeps', asleep],
    ['is stopped', stopped],
    ['did something first', (ranMs) => ({ cpuMs: 10 * Math.floor(Math.min(ranMs, 3_000) / 10), state: 'sleeping' })],
  ])('is ended after two seconds of it: it %s', async (_, course) => {
    const { end, endedAfterMs = 0 } = await new Watched(course).for(10_000);
    expect(end).toEqual({ cause: 'made no progress for 2000 ms of a run', timedOut: true });
    const beganAt = course(10_000)?.cpuMs === 3_000 ? 3_000 : 0;
    expect(endedAfterMs - beganAt).toBeGreaterThanOrEqual(2_000);
    expect(endedAfterMs - beganAt).toBeLessThan(3_000);
  });

  test('is ended at its limit where that is shorter, and others may be to blame', async () => {
    const { end } = await new Watched(stopped, { maxMs: 300 }).for(400);
    expect(end).toEqual({ cause: 'no answer within 300 ms', timedOut: true });
  });

  test('is not ended for a pause of this process itself', async () => {
    const watched = new Watched(asleep);
    await watched.for(1_000);
    // Timers do not fire, and the clock goes on.
    const now = performance.now();
    vi.spyOn(performance, 'now').mockImplementation(() => now + 60_000);
    await watched.for(600);
    expect(watched.end).toBeUndefined();
    vi.restoreAllMocks();
  });

  test('is ended only at its limit where the system does not report the state of threads', async () => {
    const watched = await new Watched(unknown, { maxMs: 60_000 }).for(59_000);
    expect(watched.end).toBeUndefined();
    expect((await watched.for(1_100)).end).toEqual({ cause: 'no answer within 60000 ms', timedOut: true });
  });

  test('sleeps for a device, and is ended only at its limit; a stopped one is not computing there', async () => {
    const onDevice = (course: Course): Watched => new Watched(course, { maxMs: 60_000 }, () => 0, true);
    const sleeping = await onDevice(asleep).for(59_000);
    expect(sleeping.end).toBeUndefined();
    expect((await sleeping.for(1_100)).end).toEqual({ cause: 'no answer within 60000 ms', timedOut: true });
    expect((await onDevice(stopped).for(3_000)).end).toMatchObject({ timedOut: true });
  });
});

describe('a run of code, which may wait for something outside', () => {
  test('needs no progress of its own, and is to blame where it reaches its limit', async () => {
    const bounds = { mayWait: true, maxMs: 60_000 };
    const watched = await new Watched(asleep, bounds).for(59_000);
    expect(watched.end).toBeUndefined();
    expect((await watched.for(2_000)).end).toMatchObject({ culprit: OVERRAN });
  });

  test('hangs where its process is stopped', async () => {
    const { end } = await new Watched(stopped, { mayWait: true }).for(5_000);
    expect(end).toMatchObject({ cause: expect.stringContaining('no progress') });
  });

  test('is ended while it waits, where no caller waits for it and others do', async () => {
    const bounds = { mayWait: true, demand: inTheWayFrom(0, 100), restartMs: 300 };
    expect((await new Watched(asleep, bounds).for(600)).end).toMatchObject({ culprit: ABANDONED });
  });
});

describe('a run that no caller waits for', () => {
  test('is ended at once where others wait, once it took longer than expected by the time of a restart', async () => {
    const demand = inTheWayFrom(1_000, 50);
    const { end, endedAfterMs } = await new Watched(busy, { demand, restartMs: 300 }).for(5_000);
    expect(end).toEqual({
      cause: expect.stringMatching(
        /^ended a run of 1\d{3} ms that no caller waited for: other requests need its instance$/,
      ),
      timedOut: false,
      culprit: ABANDONED,
    });
    expect(endedAfterMs).toBeLessThanOrEqual(1_100);
  });

  test('is not ended early, because a restart would take longer than the rest of the run', async () => {
    const demand = inTheWayFrom(0, 2_000);
    const watched = await new Watched(busy, { demand, restartMs: 3_000 }).for(4_990);
    expect(watched.end).toBeUndefined();
    expect((await watched.for(200)).end).toMatchObject({ culprit: ABANDONED });
  });

  test('is not ended where it waits for a core: its successor would have to wait as well', async () => {
    const slow: Course = (ranMs) => ({ cpuMs: 10 * Math.floor(ranMs / 1_000), state: 'runnable' });
    const watched = new Watched(slow, { demand: inTheWayFrom(0, 100), restartMs: 300 });
    expect((await watched.for(10_000)).end).toBeUndefined();
    expect((await watched.for(5_000)).end).toMatchObject({ culprit: ABANDONED });
  });

  test('is judged by the clock where the system does not say what threads do, and where a device computes', async () => {
    const bounds = { demand: inTheWayFrom(0, 100), restartMs: 300 };
    expect((await new Watched(unknown, bounds).for(600)).end).toMatchObject({ culprit: ABANDONED });
    expect((await new Watched(asleep, bounds, () => 0, true).for(600)).end).toMatchObject({ culprit: ABANDONED });
  });

  test('goes on to its limit where no other request waits', async () => {
    const demand = { expectedMs: 1, isInTheWay: () => false, wait: () => {} };
    const { end, endedAfterMs } = await new Watched(busy, { demand, maxMs: 60_000 }).for(61_000);
    expect(end).toMatchObject({ culprit: OVERRAN });
    expect(endedAfterMs).toBeCloseTo(60_000, -1);
  });
});

describe('a run for which the process takes memory', () => {
  /** What the process holds when it is looked at, from the first time on. */
  function growing(...bytes: number[]): () => number {
    return () => (bytes.length > 1 ? bytes.shift() : bytes[0]) ?? 0;
  }

  test('ends early when the process takes more than half of all memory', async () => {
    const most = runMemoryLimit();
    const { end } = await new Watched(busy, {}, growing(1_000, most, most + 1_001)).for(400);
    const cause = `took ${most + 1} bytes of memory for a run`;
    expect(end).toEqual({ cause, timedOut: false, memory: 'of-some-run' });
  });

  test('and gives no answer in time ends for its memory', async () => {
    const { end } = await new Watched(busy, { maxMs: 150 }, growing(1_000, MUCH_MEMORY + 1_000)).for(200);
    const cause = `took ${MUCH_MEMORY} bytes of memory for a run: no answer within 150 ms`;
    expect(end).toEqual({ cause, timedOut: true, memory: 'of-some-run' });
  });

  test('that was there before is not counted', async () => {
    const { end } = await new Watched(busy, { maxMs: 250 }, () => 2 * runMemoryLimit()).for(300);
    expect(end).toEqual({ cause: 'no answer within 250 ms', timedOut: true, culprit: OVERRAN });
  });
});
