import { describe, expect, test } from 'vitest';
import { outcomeUnder, type RunnerEnd } from '../../../src/gateway/dispatch/runner-end.ts';
import type { RunOutcome } from '../../../src/worker/run-outcome.ts';

describe('the end of a process makes of a run in instance 1', () => {
  test.each<[string, Partial<RunnerEnd>, RunOutcome]>([
    ['a crash, where it died', {}, { kind: 'crashed', cause: 'it ended' }],
    ['a time-out, where it made no progress', { timedOut: true }, { kind: 'timed_out', cause: 'it ended' }],
    [
      'an overrun, where it was ended for that run at its limit',
      { timedOut: true, culprit: { instance: 1, fault: 'overran' } },
      { kind: 'overran', cause: 'it ended', maxMs: 500 },
    ],
    [
      'an abandoned run, where no caller waited for it',
      { culprit: { instance: 1, fault: 'abandoned' } },
      { kind: 'abandoned', cause: 'it ended' },
    ],
    [
      'an interruption, where it was ended for a run of another instance',
      { timedOut: true, culprit: { instance: 2, fault: 'overran' } },
      { kind: 'interrupted', cause: 'it ended' },
    ],
    [
      'a lack of memory of its own, where it was the only one',
      { memory: 'of-one-run' },
      { kind: 'out_of_memory', by: 'batch', cause: 'it ended' },
    ],
    [
      'a lack of memory in its process, where it was one of several',
      { memory: 'of-some-run', timedOut: true },
      { kind: 'out_of_memory', by: 'process', cause: 'it ended' },
    ],
  ])('%s', (_, end, outcome) => {
    expect(outcomeUnder({ cause: 'it ended', timedOut: false, ...end }, 1, 500)).toEqual(outcome);
  });
});
