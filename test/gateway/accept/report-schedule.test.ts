import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Recurring, ReportSchedule } from '../../../src/gateway/accept/report-schedule.ts';

class Counted implements Recurring {
  readonly intervalMs: number;
  sent = 0;

  constructor(intervalMs: number) {
    this.intervalMs = intervalMs;
  }

  send(): void {
    this.sent++;
  }
}

let schedule: ReportSchedule<Counted>;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  schedule = new ReportSchedule(1_000);
});

afterEach(() => {
  for (const item of [...schedule.items]) schedule.remove(item);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function add(...intervals: number[]): Counted[] {
  const items = intervals.map((interval) => new Counted(interval));
  for (const item of items) schedule.add(item);
  return items;
}

test('each comes at its interval, and all of a tick together', () => {
  const items = add(1_000, 1_050, 2_500, 60_000);
  vi.advanceTimersByTime(60_100);
  const [first, second, third, fourth] = items.map(({ sent }) => sent);
  expect(first).toBe(60);
  // A tick is the resolution of the timer: 1,050 ms become 1,100.
  expect(second).toBe(54);
  expect(third).toBe(24);
  expect(fourth).toBe(1);
});

test('a removed report is not sent, and is not retained', () => {
  const [kept, removed] = add(1_000, 1_000);
  if (removed !== undefined) schedule.remove(removed);
  vi.advanceTimersByTime(10_100);
  expect([kept?.sent, removed?.sent]).toEqual([10, 0]);
  expect([...schedule.items]).toEqual([kept]);
});

test('more than 10,000 a second are sent less often, each in order', () => {
  const items = add(...Array(25_000).fill(1_000));
  let before = 0;
  for (let tick = 0; tick < 200; tick++) {
    vi.advanceTimersByTime(100);
    const sent = items.reduce((sum, item) => sum + item.sent, 0);
    expect(sent - before).toBeLessThanOrEqual(1_000);
    before = sent;
  }
  // Twenty seconds: 10,000 a second from the first on.
  expect(before).toBeGreaterThan(180_000);
  const counts = items.map(({ sent }) => sent);
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
});

test('after a pause of the process nothing is sent twice', () => {
  const [item] = add(1_000);
  vi.advanceTimersByTime(1_100);
  vi.setSystemTime(0);
  const now = performance.now();
  vi.spyOn(performance, 'now').mockReturnValue(now + 600_000);
  vi.advanceTimersByTime(100);
  expect(item?.sent).toBe(2);
  vi.mocked(performance.now).mockRestore();
});
