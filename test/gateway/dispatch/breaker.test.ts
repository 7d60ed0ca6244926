import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Batch } from '../../../src/gateway/batch/batch.ts';
import type { RunDemand } from '../../../src/gateway/batch/executor.ts';
import { Breaker } from '../../../src/gateway/dispatch/breaker.ts';
import { type BreakerState, diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import type { RunOutcome } from '../../../src/worker/run-outcome.ts';
import { FakeExecutor } from '../../support/fake-executor.ts';
import { fp32Rows, queuedRequest } from '../../support/queued-requests.ts';

const OK: RunOutcome = { kind: 'ok', outputs: [], inputMs: 0, computeMs: 0, outputMs: 0 };
const REFUSED: RunOutcome = { kind: 'refused', message: 'bad values' };
const CRASHED: RunOutcome = { kind: 'crashed', cause: 'killed by SIGSEGV' };
const OVERRAN: RunOutcome = { kind: 'overran', cause: 'late', maxMs: 1 };
const ABANDONED: RunOutcome = { kind: 'abandoned', cause: 'others wait' };
const INTERRUPTED: RunOutcome = { kind: 'interrupted', cause: 'others wait' };
const DEMAND: RunDemand = { expectedMs: 0, isInTheWay: () => false, wait: () => {} };
const TIMED_OUT: RunOutcome = { kind: 'timed_out', cause: 'late' };
const FAILED: RunOutcome = { kind: 'failed', error: new Error('broken') };
const BATCH: Batch = { requests: [queuedRequest(fp32Rows(1))], rows: 1, reason: 'idle' };

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A breaker round instances that the test holds in its hand. */
function breakerRound(size = 4): { breaker: Breaker; instances: FakeExecutor; states: BreakerState[] } {
  const instances = new FakeExecutor(size);
  const states: BreakerState[] = [];
  onTestFinished(diagnostics.breakerChanged.subscribe(({ state }) => states.push(state)));
  const breaker = new Breaker(
    { name: 'm', version: '1' },
    {
      size,
      outage: undefined,
      loadMs: 0,
      idle: () => instances.idle,
      run: (batch, demand) => instances.run(batch, demand),
    },
  );
  onTestFinished(() => breaker.close());
  return { breaker, instances, states };
}

/** One batch through the breaker, which ends so. */
async function run(breaker: Breaker, instances: FakeExecutor, outcome: RunOutcome): Promise<RunOutcome> {
  const before = instances.runs.length;
  const running = breaker.run(BATCH, DEMAND);
  if (instances.runs.length > before) instances.last.end(outcome);
  return running;
}

async function openBreaker(breaker: Breaker, instances: FakeExecutor): Promise<void> {
  for (let batch = 0; batch < 5; batch++) await run(breaker, instances, CRASHED);
  expect(breaker.state).toBe('open');
}

describe('outcomes', () => {
  test.each([OK, REFUSED, CRASHED, TIMED_OUT, OVERRAN, ABANDONED, INTERRUPTED, FAILED])(
    '$kind comes through as it is',
    async (outcome) => {
      const { breaker, instances } = breakerRound();
      expect(await run(breaker, instances, outcome)).toBe(outcome);
    },
  );

  test('an instance is taken at once, with the demand that is given', () => {
    const { breaker, instances } = breakerRound(2);
    void breaker.run(BATCH, DEMAND);
    expect(instances.last).toMatchObject({ batch: BATCH, demand: DEMAND });
    expect(breaker.idle).toBe(1);
    expect(breaker.instances).toBe(2);
  });

  test('something that throws is a failure, and not the end of the world', async () => {
    const { breaker, instances } = breakerRound();
    vi.spyOn(instances, 'run').mockRejectedValue(new Error('broken'));
    expect(await breaker.run(BATCH, DEMAND)).toEqual({ kind: 'failed', error: new Error('broken') });
  });
});

describe('it opens', () => {
  test.each([CRASHED, TIMED_OUT, FAILED])('after five batches that ended as $kind', async (outcome) => {
    const { breaker, instances, states } = breakerRound();
    for (let batch = 0; batch < 4; batch++) await run(breaker, instances, outcome);
    expect([breaker.state, breaker.gate.kind]).toEqual(['closed', 'closed']);
    await run(breaker, instances, outcome);
    expect([breaker.state, breaker.gate.kind, states]).toEqual(['open', 'open', ['open']]);
  });

  test('when more than half fail', async () => {
    const { breaker, instances } = breakerRound();
    for (const outcome of [OK, CRASHED, OK, CRASHED, OK, CRASHED]) await run(breaker, instances, outcome);
    expect(breaker.state).toBe('closed');
    await run(breaker, instances, CRASHED);
    expect(breaker.state).toBe('open');
  });

  test.each([REFUSED, OVERRAN, ABANDONED, INTERRUPTED])(
    'never because of what callers send: $kind',
    async (outcome) => {
      const { breaker, instances } = breakerRound();
      for (let batch = 0; batch < 100; batch++) await run(breaker, instances, outcome);
      expect(breaker.state).toBe('closed');
    },
  );

  test('not because of failures that are long ago', async () => {
    const { breaker, instances } = breakerRound();
    for (let batch = 0; batch < 8; batch++) {
      await run(breaker, instances, CRASHED);
      await vi.advanceTimersByTimeAsync(3_000);
    }
    expect(breaker.state).toBe('closed');
  });
});

describe('open', () => {
  test('it says for how long, and rejects a batch that comes all the same, without running it', async () => {
    const { breaker, instances } = breakerRound();
    await openBreaker(breaker, instances);
    expect(breaker.gate).toEqual({ kind: 'open', retryAfterMs: 5_000 });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(breaker.gate).toEqual({ kind: 'open', retryAfterMs: 3_000 });
    expect(await breaker.run(BATCH, DEMAND)).toEqual({ kind: 'rejected', retryAfterMs: 3_000 });
    expect(instances.runs).toHaveLength(5);
  });

  test('a batch from before that ends well does not close it', async () => {
    const { breaker, instances } = breakerRound();
    const early = breaker.run(BATCH, DEMAND);
    const [first] = instances.runs;
    await openBreaker(breaker, instances);
    first?.end(OK);
    expect(await early).toBe(OK);
    expect(breaker.state).toBe('open');
  });
});

describe('half-open', () => {
  async function halfOpen(): Promise<ReturnType<typeof breakerRound>> {
    const round = breakerRound();
    await openBreaker(round.breaker, round.instances);
    await vi.advanceTimersByTimeAsync(5_000);
    expect([round.breaker.state, round.breaker.gate.kind]).toEqual(['half-open', 'closed']);
    return round;
  }

  test('one batch may try, and no second one beside it', async () => {
    const { breaker, instances } = await halfOpen();
    expect(breaker.idle).toBe(1);
    const trying = breaker.run(BATCH, DEMAND);
    expect(breaker.idle).toBe(0);
    instances.last.end(OK);
    await trying;
  });

  test.each([OK, REFUSED])('it closes when that ends as $kind', async (outcome) => {
    const { breaker, instances, states } = await halfOpen();
    await run(breaker, instances, outcome);
    expect([breaker.state, breaker.idle]).toEqual(['closed', 4]);
    expect(states).toEqual(['open', 'half-open', 'closed']);
  });

  test('it opens again, for as long, when that fails', async () => {
    const { breaker, instances, states } = await halfOpen();
    await run(breaker, instances, CRASHED);
    expect(breaker.gate).toEqual({ kind: 'open', retryAfterMs: 5_000 });
    expect(states).toEqual(['open', 'half-open', 'open']);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(breaker.state).toBe('half-open');
    await run(breaker, instances, OK);
    expect(breaker.state).toBe('closed');
  });
});
