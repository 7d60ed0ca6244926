import { afterEach, beforeEach, vi } from 'vitest';

/** Fakes time and timers for every test of the file: the tests decide when time passes. */
export function useFakeClock(): void {
  beforeEach(() => {
    vi.useFakeTimers({
      now: 1_000_000,
      toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'performance', 'Date'],
    });
  });

  afterEach(() => {
    vi.useRealTimers();
  });
}
