import { expect, onTestFinished, test } from 'vitest';
import { diagnostics, type Notice } from '../../../src/gateway/ops/diagnostics.ts';

test('an observer that throws keeps the event from no other observer, and is reported once', () => {
  const notices: Notice[] = [];
  const seen: string[] = [];
  const cause = new Error('the observer is broken');
  for (const stop of [
    diagnostics.notice.subscribe((notice) => notices.push(notice)),
    diagnostics.limitReached.subscribe(() => {
      throw cause;
    }),
    diagnostics.limitReached.subscribe(({ limit }) => seen.push(limit)),
  ]) {
    onTestFinished(stop);
  }
  diagnostics.limitReached.publish({ limit: 'one' });
  diagnostics.limitReached.publish({ limit: 'two' });
  expect(seen).toEqual(['one', 'two']);
  expect(notices).toEqual([{ level: 'error', text: expect.stringContaining('limit.reached'), cause }]);
});

test('an observer of notices that throws ends nothing', () => {
  const notices: Notice[] = [];
  for (const stop of [
    diagnostics.notice.subscribe(() => {
      throw new Error('the log is broken');
    }),
    diagnostics.notice.subscribe((notice) => notices.push(notice)),
  ]) {
    onTestFinished(stop);
  }
  diagnostics.notice.publish({ level: 'info', text: 'hello' });
  expect(notices.map(({ text }) => text)).toContain('hello');
});
