import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { patiently } from '../../../../src/gateway/models/trial/patient-run.ts';
import type { RunOutcome } from '../../../../src/worker/run-outcome.ts';

const OK: RunOutcome = { kind: 'ok', outputs: [], inputMs: 0, computeMs: 0, outputMs: 0 };
const NO_ROOM: RunOutcome = { kind: 'no_room', bytes: 9, message: 'full', isLasting: false };
const INTERRUPTED: RunOutcome = { kind: 'interrupted', cause: 'another model' };

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Runs that end so, one after the other; the last one again and again. */
function endingAs(...outcomes: RunOutcome[]): () => Promise<RunOutcome> {
  return async () => (outcomes.length > 1 ? outcomes.shift() : outcomes[0]) ?? OK;
}

test.each([NO_ROOM, INTERRUPTED])('a run that ends as $kind is tried again', async (obstacle) => {
  const outcome = patiently(endingAs(obstacle, obstacle, OK), 10_000, () => true)([]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await outcome).toBe(OK);
});

test('a run that was interrupted is tried again once an instance lives', async () => {
  let isBack = false;
  let ended = false;
  const outcome = patiently(
    endingAs(INTERRUPTED, OK),
    10_000,
    () => isBack,
  )([]).finally(() => {
    ended = true;
  });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(ended).toBe(false);
  isBack = true;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await outcome).toBe(OK);
});

test.each<[RunOutcome, string]>([
  [NO_ROOM, 'there was no room for a first run: full'],
  [INTERRUPTED, 'a first run was interrupted: another model'],
])('all tries together have a limit: %o', async (obstacle, text) => {
  const failed = expect(patiently(endingAs(obstacle), 1_000, () => false)([])).rejects.toThrow(text);
  await vi.advanceTimersByTimeAsync(2_000);
  await failed;
});

test.each<RunOutcome>([
  OK,
  { kind: 'refused', message: 'bad values' },
  { kind: 'crashed', cause: 'killed by SIGSEGV' },
  { kind: 'overran', cause: 'late', maxMs: 1 },
  { kind: 'no_room', bytes: 9, message: 'too large for it', isLasting: true },
])('a run that ends as $kind is tried once', async (outcome) => {
  expect(await patiently(endingAs(outcome), 10_000, () => true)([])).toBe(outcome);
});
