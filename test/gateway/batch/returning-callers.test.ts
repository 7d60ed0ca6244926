import { describe, expect, test } from 'vitest';
import { ReturningCallers } from '../../../src/gateway/batch/returning-callers.ts';

/** Callers of so many batches of `rows` requests with a row each that are all back after `afterMs`. */
function served(batches: number, rows: number, afterMs: number): { callers: ReturningCallers; now: number } {
  const callers = new ReturningCallers();
  let now = 0;
  for (let batch = 0; batch < batches; batch++, now += 10) {
    callers.ended('a', rows, rows, now);
    for (let row = 1; row <= rows; row++) callers.arrived('a', now + (afterMs * row) / rows);
  }
  callers.ended('a', rows, rows, now);
  return { callers, now };
}

describe('callers who come back', () => {
  test('are expected when the callers of eight batches were back', () => {
    expect(served(7, 4, 0.3).callers.returning).toBeUndefined();
    const { callers, now } = served(8, 4, 0.3);
    expect(callers.returning).toEqual({
      bucket: 'a',
      rows: 4,
      sinceMs: now,
      withinMs: expect.closeTo(0.3) as number,
    });
  });

  test('are those who are not back yet', () => {
    const { callers, now } = served(8, 4, 0.3);
    for (let back = 1; back <= 3; back++) callers.arrived('a', now + 0.1);
    expect(callers.returning?.rows).toBe(1);
    callers.arrived('a', now + 0.2);
    expect(callers.returning).toBeUndefined();
  });

  test('are back when their requests are, whatever the rows: a caller by itself is not waited for', () => {
    const { callers, now } = served(8, 1, 0.3);
    // Two requests with five rows.
    callers.ended('a', 2, 5, now + 1);
    expect(callers.returning?.rows).toBe(5);
    callers.arrived('a', now + 1.1);
    expect(callers.returning?.rows).toBe(3);
    callers.arrived('a', now + 1.2);
    expect(callers.returning).toBeUndefined();
  });

  test('may be late once in eight batches', () => {
    const { callers, now } = served(8, 4, 0.3);
    callers.ended('a', 4, 4, now + 1);
    expect(callers.returning?.withinMs).toBeCloseTo(0.3);
    callers.ended('a', 4, 4, now + 2);
    expect(callers.returning).toBeUndefined();
  });

  test('are not requests of other shapes', () => {
    const { callers, now } = served(8, 4, 0.3);
    callers.arrived('b', now + 0.1);
    expect(callers.returning?.rows).toBe(4);
  });

  test('take as long as a batch where arrivals do not depend on answers', () => {
    const callers = new ReturningCallers();
    // A row each millisecond, and a batch of all that wait every eight.
    for (let now = 0; now < 160; now++) {
      callers.arrived('a', now);
      if (now % 8 === 7) callers.ended('a', 8, 8, now + 0.5);
    }
    expect(callers.returning?.withinMs).toBeGreaterThanOrEqual(7.5);
  });
});
