import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { type InferTensors, UNIT_ROW } from '../../../src/gateway/admit/infer-tensors.ts';
import { NO_TERMS } from '../../../src/gateway/admit/request-terms.ts';
import type { Down, Gate } from '../../../src/gateway/batch/gate.ts';
import { QueuePolicies } from '../../../src/gateway/batch/queue-policy.ts';
import { tenantsBy } from '../../../src/gateway/batch/tenants.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { type BatchEnded, diagnostics, type RunStopped } from '../../../src/gateway/ops/diagnostics.ts';
import type { RunOutcome } from '../../../src/worker/run-outcome.ts';
import { FakeCall } from '../../support/fake-call.ts';
import { useFakeClock } from '../../support/fake-clock.ts';
import { echo, type FakeRun } from '../../support/fake-executor.ts';
import { fp32Rows, queuePolicy } from '../../support/queued-requests.ts';
import {
  type BenchSettings,
  callFor,
  pass,
  reasons,
  SchedulerBench,
  type Ticket,
  turn,
  values,
} from '../../support/scheduler-bench.ts';

const FOREVER = Number.POSITIVE_INFINITY;
const CRASHED: RunOutcome = { kind: 'crashed', cause: 'killed by SIGSEGV' };
const REFUSED: RunOutcome = {
  kind: 'refused',
  message:
    "Non-zero status code returned while running Gather node. Name:'' Status Message: /build/core/gather.cc:32 indices element out of data bounds, idx=9 must be within the inclusive range [-5,4]",
};

useFakeClock();

describe('batches', () => {
  test('requests of one turn of the event loop are one batch, and each gets its own rows', async () => {
    const bench = new SchedulerBench();
    const tickets = [bench.submit(fp32Rows(1, 5)), bench.submit(fp32Rows(3, 6)), bench.submit(fp32Rows(2, 7))];
    expect(bench.executor.runs).toHaveLength(0);
    await turn();
    expect(bench.executor.runs).toHaveLength(1);
    await bench.settle();
    expect(tickets.map(values)).toEqual([[5], [6, 6, 6], [7, 7]]);
    expect(tickets.map(({ answer }) => answer?.timing.batchRows)).toEqual([6, 6, 6]);
  });

  test('SCHED-5: a batch never exceeds the maximum of rows', async () => {
    const bench = new SchedulerBench({ maxRows: 4 });
    const tickets = [3, 1, 2, 4, 1].map((rows) => bench.submit(fp32Rows(rows, rows)));
    await turn();
    await bench.settle();
    expect(bench.executor.runs.map(({ batch }) => batch.rows)).toEqual([4, 2, 4, 1]);
    expect(reasons(tickets)).toEqual(Array(5).fill('answered'));
  });

  test('SCHED-5: a batch never mixes shapes', async () => {
    const bench = new SchedulerBench();
    for (const bucket of ['a', 'b', 'a', 'b', 'a']) bench.submit(fp32Rows(1, 0, bucket));
    await turn();
    await bench.settle();
    const shapes = bench.executor.runs.map(({ batch }) => batch.requests.map(({ tensors }) => tensors.bucket));
    expect(shapes).toEqual([
      ['a', 'a', 'a'],
      ['b', 'b'],
    ]);
  });

  test('what comes while no instance is idle becomes one batch as soon as one is', async () => {
    const bench = new SchedulerBench();
    const { blocker, tickets } = await bench.submitBehind(3);
    tickets.push(bench.submit(fp32Rows(1, 3)));
    expect(bench.executor.runs).toHaveLength(1);
    await bench.end(blocker);
    expect(bench.executor.last.values).toEqual([0, 1, 2, 3]);
  });

  test('several idle instances share what waits', async () => {
    const bench = new SchedulerBench({ instances: 2 });
    for (let value = 0; value < 6; value++) bench.submit(fp32Rows(1, value));
    await turn();
    expect(bench.executor.runs.map((run) => run.values)).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
  });

  test('an instance that becomes idle by itself is used after wake()', async () => {
    const bench = new SchedulerBench();
    const { blocker } = await bench.submitBehind(1);
    bench.executor.inFlight.delete(blocker);
    bench.scheduler.wake();
    await turn();
    expect(bench.executor.last.values).toEqual([0]);
  });

  test('the time in the queue is the time until the batch was sent', async () => {
    const bench = new SchedulerBench();
    const { blocker, tickets } = await bench.submitBehind(1);
    await pass(30);
    await bench.end(blocker);
    await pass(12);
    await bench.settle();
    expect(tickets[0]?.answer?.timing.queueMs).toBeCloseTo(30);
  });

  test('what waits is counted in requests and rows, and nothing is left when all is answered', async () => {
    const bench = new SchedulerBench();
    expect(bench.scheduler.quiet).toBe(true);
    const { blocker } = await bench.submitBehind(3);
    bench.submit(fp32Rows(4));
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual([4, 7]);
    await bench.end(blocker);
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual([0, 0]);
    expect(bench.scheduler.quiet).toBe(false);
    await bench.settle();
    expect(bench.scheduler.quiet).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('every run is recorded, and published with the reason why it was sent', async () => {
    const events: BatchEnded[] = [];
    using _ = { [Symbol.dispose]: diagnostics.batchEnded.subscribe((event) => events.push(event)) };
    const bench = new SchedulerBench();
    const { blocker, tickets } = await bench.submitBehind(8);
    await bench.end(blocker, REFUSED);
    await bench.settle();
    expect(bench.recorded.map(({ outcome }) => outcome.kind)).toEqual(['refused', 'ok']);
    expect(events.map(({ reason, outcome, rows }) => [reason, outcome, rows])).toEqual([
      ['idle', 'refused', 1],
      ['full', 'ok', 8],
    ]);
    expect(events[1]?.calls).toEqual(tickets.map(({ call }) => call));
  });

  test('an answer with another number of rows than its batch is a fault of ours, and no row goes to the wrong request', async () => {
    const bench = new SchedulerBench();
    const tickets = [bench.submit(fp32Rows(1)), bench.submit(fp32Rows(1))];
    await turn();
    const { kind, ...rest } = echo(bench.executor.last) as Extract<RunOutcome, { kind: 'ok' }>;
    await bench.end(bench.executor.last, {
      kind,
      ...rest,
      outputs: rest.outputs.map((output) => ({ ...output, shape: [1, 2] })),
    });
    expect(reasons(tickets)).toEqual(['internal', 'internal']);
    expect(tickets[0]?.error?.message).toBe('internal error');
    expect(String(tickets[0]?.error?.cause)).toContain('no batch axis');
  });
});

describe('a delay', () => {
  test('SCHED-3: one timer is armed, for the moment at which the oldest has waited long enough', async () => {
    const bench = new SchedulerBench({ maxDelayMs: 20 });
    for (let value = 0; value < 3; value++) {
      bench.submit(fp32Rows(1, value));
      await pass(5);
      expect(vi.getTimerCount()).toBe(1);
    }
    await pass(4);
    expect(bench.executor.runs).toHaveLength(0);
    await pass(2);
    expect(bench.executor.last.values).toEqual([0, 1, 2]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a full batch does not wait, and its timer is gone', async () => {
    const bench = new SchedulerBench({ maxDelayMs: 20, maxRows: 2 });
    bench.submit(fp32Rows(1));
    await turn();
    expect(vi.getTimerCount()).toBe(1);
    bench.submit(fp32Rows(1));
    await turn();
    expect(bench.executor.runs).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a deadline ends the wait early enough for the run', async () => {
    const bench = new SchedulerBench({ maxDelayMs: 1_000 });
    bench.teach(10);
    const ticket = bench.submit(fp32Rows(1), { call: callFor(100.2, 15) });
    // 15 ms are kept for the way back, and 10.1 for the run.
    await pass(70);
    expect(bench.executor.runs).toHaveLength(0);
    await pass(5);
    expect(bench.executor.runs).toHaveLength(1);
    await bench.settle();
    expect(reasons([ticket])).toEqual(['answered']);
  });

  test('a delay longer than a timer can be is waited for all the same', async () => {
    const bench = new SchedulerBench({ maxDelayMs: 2 ** 31 });
    bench.submit(fp32Rows(1), { call: callFor(FOREVER) });
    await pass(1_000);
    expect(bench.executor.runs).toHaveLength(0);
  });
});

describe('callers who come back at once', () => {
  /** Batches of 4 rows that take 6 ms, whose callers sent the next requests when they had the answers; then 2 more rows wait. */
  async function benchWithCallers(): Promise<{ bench: SchedulerBench; tickets: Ticket[] }> {
    const bench = new SchedulerBench();
    bench.teach(4, 0.5);
    for (let batch = 0; batch < 9; batch++) {
      for (let row = 0; row < 4; row++) bench.submit(fp32Rows(1, row));
      await pass(6);
      if (batch < 8) await bench.end(bench.executor.last);
    }
    const tickets = [bench.submit(fp32Rows(1, 5)), bench.submit(fp32Rows(1, 6))];
    await bench.end(bench.executor.last);
    return { bench, tickets };
  }

  test('are waited for, and run with what waits already', async () => {
    const { bench } = await benchWithCallers();
    expect(bench.executor.inFlight.size).toBe(0);
    for (let row = 0; row < 4; row++) {
      expect(bench.executor.inFlight.size).toBe(0);
      bench.submit(fp32Rows(1, 10 + row));
      await turn();
    }
    expect(bench.executor.last.values).toEqual([5, 6, 10, 11, 12, 13]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('are not waited for longer than a larger batch saves', async () => {
    const { bench, tickets } = await benchWithCallers();
    await pass(4);
    expect(bench.executor.last.values).toEqual([5, 6]);
    await bench.settle();
    expect(reasons(tickets)).toEqual(['answered', 'answered']);
  });
});

describe('deadlines', () => {
  test('a request that has expired when it comes is refused at once and not counted', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1), { call: callFor(0) });
    await turn();
    expect(reasons([ticket])).toEqual(['deadline_exceeded']);
    expect(bench.executor.runs).toHaveLength(0);
    expect(bench.scheduler.quiet).toBe(true);
  });

  test('SCHED-4: a request whose deadline passes in the queue is refused at that moment, and never run', async () => {
    const bench = new SchedulerBench();
    const { blocker, tickets } = await bench.submitBehind(1);
    const ticket = bench.submit(fp32Rows(1, 99), { timeoutMs: 50 });
    await pass(49);
    expect(reasons([ticket])).toEqual(['open']);
    await pass(1);
    expect(reasons([ticket])).toEqual(['deadline_exceeded']);
    expect(bench.scheduler.queuedRequests).toBe(1);
    await bench.end(blocker);
    expect(bench.executor.last.values).toEqual([0]);
    await bench.settle();
    expect(reasons(tickets)).toEqual(['answered']);
    expect(bench.executor.runs).toHaveLength(2);
  });

  test('SCHED-4: a deadline that no one announced is seen when the batch is formed', async () => {
    const bench = new SchedulerBench();
    const { blocker } = await bench.submitBehind(0);
    const ticket = bench.submit(fp32Rows(1), { call: callFor(50) });
    await pass(50);
    await bench.end(blocker);
    expect(reasons([ticket])).toEqual(['deadline_exceeded']);
    expect(bench.executor.runs).toHaveLength(1);
  });

  test("the call's deadline is the transport's to watch: no second timer is armed for it", async () => {
    const bench = new SchedulerBench({ policy: { defaultTimeoutMs: 1_000 } });
    bench.submit(fp32Rows(1), { call: callFor(500), timeoutMs: 800 });
    await turn();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("the model's default time-out holds where the request brings none that is shorter", async () => {
    const bench = new SchedulerBench({ policy: { defaultTimeoutMs: 40 } });
    await bench.submitBehind(0);
    const tickets = [undefined, 80, 15].map((timeoutMs) => bench.submit(fp32Rows(1), { timeoutMs }));
    await pass(14);
    expect(reasons(tickets)).toEqual(['open', 'open', 'open']);
    await pass(1);
    expect(reasons(tickets)).toEqual(['open', 'open', 'deadline_exceeded']);
    await pass(24);
    expect(reasons(tickets)).toEqual(['open', 'open', 'deadline_exceeded']);
    await pass(1);
    expect(reasons(tickets)).toEqual(['deadline_exceeded', 'deadline_exceeded', 'deadline_exceeded']);
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('a policy without the override ignores the time-out of a request', async () => {
    const bench = new SchedulerBench({ policy: { defaultTimeoutMs: 40, allowTimeoutOverride: false } });
    await bench.submitBehind(0);
    const ticket = bench.submit(fp32Rows(1), { timeoutMs: 5 });
    await pass(39);
    expect(reasons([ticket])).toEqual(['open']);
    await pass(1);
    expect(reasons([ticket])).toEqual(['deadline_exceeded']);
  });

  test('a time-out longer than a timer can be does not end the request at once', async () => {
    const bench = new SchedulerBench();
    await bench.submitBehind(0);
    const ticket = bench.submit(fp32Rows(1), { timeoutMs: 10 ** 12 });
    await pass(1_000);
    expect(reasons([ticket])).toEqual(['open']);
  });

  test('a deadline that passes during the run ends the request then, and its batch goes on for the others', async () => {
    const bench = new SchedulerBench();
    const [early, patient] = [bench.submit(fp32Rows(1, 1), { timeoutMs: 50 }), bench.submit(fp32Rows(1, 2))];
    await turn();
    await pass(50);
    expect(reasons([early, patient])).toEqual(['deadline_exceeded', 'open']);
    await bench.settle();
    expect(values(patient)).toEqual([2]);
    expect(reasons([early])).toEqual(['deadline_exceeded']);
  });

  test('an answered request leaves no timer behind', async () => {
    const bench = new SchedulerBench();
    bench.submit(fp32Rows(1), { timeoutMs: 5_000 });
    await turn();
    expect(vi.getTimerCount()).toBe(1);
    await bench.settle();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('SCHED-4: a request that has become hopeless while it waited is never run, and is refused without a retry', async () => {
    const bench = new SchedulerBench();
    bench.teach(10);
    const { blocker, tickets } = await bench.submitBehind(1);
    const ticket = bench.submit(fp32Rows(1, 99), { call: callFor(100) });
    expect(reasons([ticket])).toEqual(['open']);
    await pass(95);
    await bench.end(blocker);
    expect(reasons([ticket])).toEqual(['deadline_too_short']);
    expect(ticket.error?.pushback).toBe('never');
    expect(bench.executor.last.values).toEqual([0]);
    await bench.settle();
    expect(reasons(tickets)).toEqual(['answered']);
  });

  test('a request that a larger batch leaves behind gets a negative pushback, and those behind it are answered', async () => {
    const bench = new SchedulerBench({ maxRows: 20 });
    // In the head's batch there is room for 13 rows, and 12 of the others would be late.
    bench.teach(9, 0.15);
    const { blocker } = await bench.submitBehind(0);
    const head = bench.submit(fp32Rows(1, 0), { call: callFor(31) });
    const others = Array.from({ length: 40 }, () => bench.submit(fp32Rows(1, 1), { call: callFor(46) }));
    await pass(20);
    await bench.end(blocker);
    await turn();
    expect(bench.executor.last.batch.rows).toBe(20);
    await pass(10);
    await bench.end(bench.executor.last);
    await pass(10);
    await bench.settle();
    expect(reasons([head])).toEqual(['deadline_too_short']);
    expect(head.error?.pushback).toBe('never');
    expect(reasons(others)).toEqual(Array(40).fill('answered'));
  });
});

describe('outputs that are too large', () => {
  const TOO_LARGE: RunOutcome = { kind: 'outputs_too_large', message: "output 'out' has 1000 bytes" };

  test('fail only the request that they are about: its batch is halved until it is found', async () => {
    const bench = new SchedulerBench({ maxOutputBytes: 900 });
    const { blocker, tickets } = await bench.submitBehind(8);
    await bench.end(blocker);
    await bench.settle((run) => (run.values.includes(5) ? TOO_LARGE : echo(run)));
    expect(reasons(tickets)).toEqual([...Array(5).fill('answered'), 'limit_exceeded', 'answered', 'answered']);
    expect(tickets[5]?.error).toMatchObject({
      message: "output 'out' has 1000 bytes: the outputs of a request may have 900 (maxOutputBytes)",
      pushback: undefined,
    });
    expect(bench.executor.runs.slice(1).map(({ batch }) => batch.rows)).toEqual([8, 4, 4, 2, 2, 1, 1]);
  });

  test('because of another batch of the process cost no request its answer that runs well by itself', async () => {
    const bench = new SchedulerBench();
    const tickets = [0, 1, 2].map((value) => bench.submit(fp32Rows(1, value)));
    await turn();
    const outcome: RunOutcome = { kind: 'out_of_memory', by: 'process', cause: 'took 9 bytes' };
    await bench.settle((run) => (run.values.includes(1) ? outcome : echo(run)));
    expect(reasons(tickets)).toEqual(['answered', 'limit_exceeded', 'answered']);
    expect(tickets[1]?.error?.message).toMatch(/^the model found too little memory .* \(its process took 9 bytes\)$/);
    expect(bench.executor.runs.map((run) => run.values)).toEqual([[0, 1, 2], [0], [1], [2]]);
  });

  test('for one request are not blamed on small ones beside it', async () => {
    const bench = new SchedulerBench({ maxOutputBytes: 12 });
    const tickets = [bench.submit(fp32Rows(1, 1)), bench.submit(fp32Rows(4, 2)), bench.submit(fp32Rows(3, 3))];
    await turn();
    await bench.settle();
    expect(bench.executor.runs).toHaveLength(1);
    expect(reasons(tickets)).toEqual(['answered', 'limit_exceeded', 'answered']);
    expect(tickets[1]?.error?.message).toBe(
      "output 'out' of shape [4,1] has 16 bytes: the outputs of a request may have 12 (maxOutputBytes)",
    );
  });

  test('for a batch make the next batches of those shapes smaller, and only of those', async () => {
    const bench = new SchedulerBench({ maxOutputBytes: 4 });
    bench.submit(fp32Rows(1));
    await turn();
    await bench.settle();
    for (let value = 0; value < 8; value++) bench.submit(fp32Rows(1, value));
    await turn();
    await bench.settle();
    // Four requests may have the longest answer at once.
    expect(bench.executor.runs.map(({ batch }) => batch.rows)).toEqual([1, 4, 4]);
    for (let value = 0; value < 8; value++) bench.submit(fp32Rows(1, value, 'other'));
    await turn();
    expect(bench.executor.last.batch.rows).toBe(8);
  });
});

describe('a batch for which there is no room', () => {
  const noRoom = (isLasting: boolean): RunOutcome => ({
    kind: 'no_room',
    bytes: 9,
    isLasting,
    message: 'it needs 9 of 8 bytes',
  });

  test('runs in parts', async () => {
    const bench = new SchedulerBench();
    const tickets = Array.from({ length: 4 }, (_, value) => bench.submit(fp32Rows(1, value)));
    await turn();
    await bench.settle((run) => (run.batch.rows > 2 ? noRoom(true) : echo(run)));
    expect(reasons(tickets)).toEqual(Array(4).fill('answered'));
    expect(bench.executor.runs.map(({ batch }) => batch.rows)).toEqual([4, 2, 2]);
  });

  test.each([
    ['fails for good where it never fits', true, 'limit_exceeded', undefined],
    ['is refused for now where it would fit at another time', false, 'queue_full', expect.any(Number)],
  ])('and of one request %s', async (_, isLasting, reason, pushback) => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1));
    await turn();
    await bench.settle(() => noRoom(isLasting));
    expect(ticket.error).toMatchObject({
      reason,
      pushback,
      message: 'the server has no room for this request: it needs 9 of 8 bytes',
    });
  });

  test('says nothing of how long the model takes: what it waited is left out', async () => {
    const bench = new SchedulerBench();
    for (let repeat = 0; repeat < 20; repeat++) {
      bench.submit(fp32Rows(1));
      await turn();
      await pass(500);
      await bench.end(bench.executor.last, { ...echo(bench.executor.last), roomMs: 490 } as RunOutcome);
    }
    const ticket = bench.submit(fp32Rows(1), { call: callFor(100) });
    await turn();
    await bench.settle();
    expect(reasons([ticket])).toEqual(['answered']);
  });
});

describe('the way back', () => {
  test('is not spent on the run: behind another run, an answer that would be ready at the last moment is given up', async () => {
    const bench = new SchedulerBench();
    bench.teach(90);
    const { blocker, tickets } = await bench.submitBehind(0);
    for (const wayBackMs of [0.5, 15]) tickets.push(bench.submit(fp32Rows(1), { call: callFor(185, wayBackMs) }));
    await pass(90);
    await bench.end(blocker);
    expect(reasons(tickets)).toEqual(['open', 'deadline_too_short']);
    expect(bench.executor.last.batch.requests).toHaveLength(1);
  });

  test('is measured on the connection: a caller nearby gets all of its time', async () => {
    const bench = new SchedulerBench();
    bench.teach(90);
    const ticket = bench.submit(fp32Rows(1), { call: callFor(100, 0.5) });
    await turn();
    expect(bench.executor.runs).toHaveLength(1);
    await pass(90);
    await bench.settle();
    expect(reasons([ticket])).toEqual(['answered']);
  });
});

describe('levels of priority', () => {
  const LEVELS = new QueuePolicies([queuePolicy(), queuePolicy(), queuePolicy()], 2);

  test('a more urgent request runs first, then the earlier one; 0 and an unknown level are the default level', async () => {
    const bench = new SchedulerBench({ queues: LEVELS, maxRows: 1 });
    const { blocker } = await bench.submitBehind(0);
    for (const [value, priority] of [3, 0, 1, 7, 2, 3, 1].entries()) bench.submit(fp32Rows(1, value), { priority });
    await bench.end(blocker);
    await bench.settle();
    expect(bench.executor.runs.slice(1).flatMap((run) => run.values)).toEqual([2, 6, 1, 3, 4, 0, 5]);
  });

  test('a priority is accepted and ignored where the model has no levels', async () => {
    const bench = new SchedulerBench({ maxRows: 1 });
    const { blocker } = await bench.submitBehind(0);
    for (const [value, priority] of [3, 1, 2].entries()) bench.submit(fp32Rows(1, value), { priority });
    await bench.end(blocker);
    await bench.settle();
    expect(bench.executor.runs.slice(1).flatMap((run) => run.values)).toEqual([0, 1, 2]);
  });

  test('an urgent shape overtakes others that wait', async () => {
    const bench = new SchedulerBench({ queues: LEVELS });
    const { blocker } = await bench.submitBehind(2);
    bench.submit(fp32Rows(1, 9, 'other'), { priority: 1 });
    await bench.end(blocker);
    expect(bench.executor.last.values).toEqual([9]);
  });

  test('nothing starves: under a flood of urgent requests the least urgent runs after 16 of them for each level', async () => {
    const bench = new SchedulerBench({ queues: LEVELS, maxRows: 1 });
    bench.teach(50);
    const patient = bench.submit(fp32Rows(1, -1), { priority: 1 });
    await turn();
    const last = bench.submit(fp32Rows(1, -3), { priority: 3, call: callFor(60_000) });
    const startedAt = performance.now();
    while (reasons([last])[0] === 'open') {
      // Twice as much comes as can be run.
      bench.submit(fp32Rows(1), { priority: 1 });
      bench.submit(fp32Rows(1), { priority: 1 });
      await pass(50);
      const [run] = bench.executor.inFlight;
      if (run !== undefined) await bench.end(run);
      if (performance.now() - startedAt > 60_000) throw new Error('it starves');
    }
    expect(reasons([patient, last])).toEqual(['answered', 'answered']);
    expect(bench.executor.runs.length).toBeGreaterThan(16 * 16);
    expect(bench.executor.runs.length).toBeLessThan(16 * 16 + 5);
  });

  test('the wait that is predicted for an urgent request is for what goes before it', async () => {
    const bench = new SchedulerBench({ queues: LEVELS, maxRows: 1 });
    bench.teach(100);
    await bench.submitBehind(12, 455);
    const [ordinary, urgent] = [0, 1].map((priority) => bench.submit(fp32Rows(1), { call: callFor(460), priority }));
    await turn();
    expect(reasons([ordinary, urgent] as Ticket[])).toEqual(['cannot_meet_deadline', 'open']);
  });
});

describe('a policy that delays', () => {
  const DELAYING = { defaultTimeoutMs: 40, timeoutAction: 'delay' } as const;

  test('a request that has had its time runs when nothing else waits', async () => {
    const bench = new SchedulerBench({ policy: DELAYING, maxRows: 1 });
    const { blocker, tickets } = await bench.submitBehind(2);
    await pass(20);
    tickets.push(bench.submit(fp32Rows(1, 2)));
    await pass(20);
    tickets.push(bench.submit(fp32Rows(1, 3, 'other')));
    await bench.end(blocker);
    await bench.settle();
    expect(bench.executor.runs.slice(1).flatMap((run) => run.values)).toEqual([2, 3, 0, 1]);
    expect(reasons(tickets)).toEqual(Array(4).fill('answered'));
    expect(vi.getTimerCount()).toBe(0);
  });

  test('it does not keep an idle instance waiting', async () => {
    const bench = new SchedulerBench({ policy: DELAYING });
    const { blocker, tickets } = await bench.submitBehind(2);
    await pass(1_000);
    await bench.end(blocker);
    await bench.settle();
    expect(reasons(tickets)).toEqual(['answered', 'answered']);
  });

  test('its call ends it all the same', async () => {
    const bench = new SchedulerBench({ policy: DELAYING });
    const { blocker } = await bench.submitBehind(0);
    const ticket = bench.submit(fp32Rows(1), { call: callFor(100) });
    await pass(40);
    expect(reasons([ticket])).toEqual(['open']);
    ticket.call.cancel('deadline');
    await bench.end(blocker);
    expect(reasons([ticket])).toEqual(['deadline_exceeded']);
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('does not disturb a running batch when its time is over', async () => {
    const bench = new SchedulerBench({ policy: DELAYING });
    const ticket = bench.submit(fp32Rows(1, 5));
    await pass(50);
    expect(bench.scheduler.queuedRequests).toBe(0);
    await bench.settle();
    expect(values(ticket)).toEqual([5]);
  });
});

describe('admission', () => {
  test('a request that even the fastest run seen would answer too late is refused at once, without a retry', async () => {
    const bench = new SchedulerBench();
    bench.teach(50);
    await bench.submitBehind(0);
    await expect(bench.scheduler.enqueue(fp32Rows(1), callFor(20, 6), NO_TERMS)).rejects.toMatchObject({
      reason: 'deadline_too_short',
      pushback: 'never',
      message: 'cannot be answered in time: the fastest run so far took 50 ms, 14 ms are left',
    });
  });

  test('a request that the fastest run seen would answer in time may be sent again', async () => {
    const bench = new SchedulerBench({ maxRows: 1 });
    bench.teach(20);
    bench.teach(50);
    await bench.submitBehind(4, 1_000);
    const ticket = bench.submit(fp32Rows(1), { call: callFor(30) });
    await turn();
    expect(reasons([ticket])).toEqual(['cannot_meet_deadline']);
    expect(ticket.error?.pushback).toBeGreaterThan(0);
  });

  test('a request is refused behind three times as much work as its time allows, with the time after which to retry', async () => {
    const bench = new SchedulerBench({ maxRows: 2 });
    bench.teach(50);
    const { tickets } = await bench.submitBehind(8, 102);
    await pass(10);
    const late = bench.submit(fp32Rows(1), { call: callFor(92) });
    const patient = bench.submit(fp32Rows(1), { call: callFor(102) });
    await turn();
    expect(reasons([late, patient, ...tickets])).toEqual(['cannot_meet_deadline', ...Array(9).fill('open')]);
    // The rest of the run in flight, and four batches of two.
    expect(late.error?.pushback).toBeGreaterThanOrEqual(240);
    expect(late.error?.pushback).toBeLessThanOrEqual(240 * 1.25 + 1);
  });

  test('nothing is refused on a guess: before the third run of a model its cost is unknown', async () => {
    const bench = new SchedulerBench();
    bench.scheduler.observe(UNIT_ROW, 1, 1_000);
    bench.scheduler.observe(UNIT_ROW, 1, 1_000);
    const ticket = bench.submit(fp32Rows(1), { call: callFor(40) });
    await turn();
    await bench.settle();
    expect(reasons([ticket])).toEqual(['answered']);
  });

  test('the queue takes exactly as many as its bound: k more are k refusals, each with a time after which to retry', async () => {
    const bench = new SchedulerBench({ policy: { maxRequests: 5 } });
    await bench.submitBehind(0);
    const tickets = Array.from({ length: 8 }, () => bench.submit(fp32Rows(1)));
    await turn();
    expect(reasons(tickets)).toEqual([...Array(5).fill('open'), ...Array(3).fill('queue_full')]);
    expect(bench.scheduler.queuedRequests).toBe(5);
    for (const { error } of tickets.slice(5)) {
      expect(error?.message).toContain('Exceeds maximum queue size');
      expect(error?.pushback).toBeGreaterThan(0);
    }
    await bench.settle();
    expect(reasons(tickets.slice(0, 5))).toEqual(Array(5).fill('answered'));
  });

  test('the queue is bounded in bytes, too', async () => {
    const bench = new SchedulerBench({ maxQueueBytes: 16 });
    await bench.submitBehind(0);
    const tickets = [3, 1, 1].map((rows) => bench.submit(fp32Rows(rows)));
    await turn();
    expect(reasons(tickets)).toEqual(['open', 'open', 'queue_full']);
  });

  test('a hostile number of shapes does not make the scheduler forget how long the usual one takes', async () => {
    const bench = new SchedulerBench();
    bench.teach(50);
    const { size: usual } = fp32Rows(1);
    for (let shape = 0; shape < 500; shape++) {
      bench.submit(fp32Rows(1, 0, `asked for ${shape}`), { call: callFor(1_000) });
      bench.scheduler.observe({ elements: 2 + shape, length: 1 }, 1, 5);
      bench.scheduler.observe(usual, 1, 50);
    }
    await bench.submitBehind(0);
    const ticket = bench.submit(fp32Rows(1), { call: callFor(10) });
    await turn();
    expect(reasons([ticket])).toEqual(['deadline_too_short']);
  });
});

describe('a call that is cancelled', () => {
  test('before it comes: it is not counted and not run', async () => {
    const bench = new SchedulerBench();
    const call = new FakeCall();
    call.cancel();
    const ticket = bench.submit(fp32Rows(1), { call });
    await turn();
    expect(reasons([ticket])).toEqual(['cancelled']);
    expect(bench.executor.runs).toHaveLength(0);
  });

  test('SCHED-4: in the queue: it frees its place at once and is not run', async () => {
    const bench = new SchedulerBench({ policy: { maxRequests: 2 } });
    const { blocker, tickets } = await bench.submitBehind(2);
    tickets[0]?.call.cancel();
    await turn();
    expect(reasons(tickets)).toEqual(['cancelled', 'open']);
    tickets.push(bench.submit(fp32Rows(1, 7)));
    await bench.end(blocker);
    expect(bench.executor.last.values).toEqual([1, 7]);
  });

  test('in the same turn of the event loop in which it came: it is not run', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1));
    ticket.call.cancel();
    await turn();
    expect(reasons([ticket])).toEqual(['cancelled']);
    expect(bench.executor.runs).toHaveLength(0);
  });

  test('during the run: it ends at once, and the others of its batch are answered', async () => {
    const bench = new SchedulerBench();
    const tickets = [bench.submit(fp32Rows(1, 1)), bench.submit(fp32Rows(1, 2))];
    await turn();
    tickets[0]?.call.cancel();
    await turn();
    expect(reasons(tickets)).toEqual(['cancelled', 'open']);
    await bench.settle();
    expect(reasons(tickets)).toEqual(['cancelled', 'answered']);
  });

  test('while its refused batch is halved: it is not run again', async () => {
    const bench = new SchedulerBench();
    const { blocker, tickets } = await bench.submitBehind(4);
    await bench.end(blocker);
    bench.executor.last.end(REFUSED);
    for (const ticket of tickets.slice(2)) ticket.call.cancel();
    await turn();
    await bench.settle();
    expect(reasons(tickets)).toEqual(['answered', 'answered', 'cancelled', 'cancelled']);
    expect(bench.executor.runs.slice(2).flatMap((run) => run.values)).toEqual([0, 1]);
  });

  test('while it waits for its replay: it is not run again', async () => {
    const bench = new SchedulerBench();
    const tickets = [bench.submit(fp32Rows(1, 1)), bench.submit(fp32Rows(1, 2))];
    await turn();
    await bench.end(bench.executor.last, CRASHED);
    expect(bench.executor.last.values).toEqual([1]);
    tickets[1]?.call.cancel();
    await bench.settle();
    expect(bench.executor.runs.map((run) => run.values)).toEqual([[1, 2], [1]]);
    expect(reasons(tickets)).toEqual(['answered', 'cancelled']);
    expect(bench.scheduler.quiet).toBe(true);
  });

  test('before a run that crashes: it is not replayed', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1));
    await turn();
    ticket.call.cancel();
    await bench.end(bench.executor.last, CRASHED);
    expect(bench.executor.runs).toHaveLength(1);
    expect(bench.scheduler.quiet).toBe(true);
  });

  test('by its deadline: the status says so', async () => {
    const bench = new SchedulerBench();
    const { tickets } = await bench.submitBehind(1);
    tickets[0]?.call.cancel('deadline');
    await turn();
    expect(reasons(tickets)).toEqual(['deadline_exceeded']);
  });

  test('after its answer: nothing happens any more', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1));
    await turn();
    await bench.settle();
    expect(ticket.call.onCancel).toBeUndefined();
    ticket.call.cancel();
    expect(reasons([ticket])).toEqual(['answered']);
  });
});

describe('values that the model refuses', () => {
  /** A model that refuses every batch in which one of these values is. */
  function refusing(...bad: number[]): (run: FakeRun) => RunOutcome {
    return (run) => (run.values.some((value) => bad.includes(value)) ? REFUSED : echo(run));
  }

  test('one bad row of 32 fails by itself: it is found by halving, and the other 31 are answered', async () => {
    const bench = new SchedulerBench({ maxRows: 32 });
    const { blocker, tickets } = await bench.submitBehind(32);
    await bench.end(blocker);
    await bench.settle(refusing(19));
    expect(reasons(tickets)).toEqual(tickets.map((_, value) => (value === 19 ? 'invalid_data' : 'answered')));
    expect(tickets.filter((_, value) => value !== 19).map(values)).toEqual(
      Array.from({ length: 32 }, (_, value) => [value]).filter(([value]) => value !== 19),
    );
    // The blocker, the batch, and two halves on each of five levels.
    expect(bench.executor.runs.length).toBeLessThanOrEqual(1 + 1 + 2 * 5);
  });

  test('several bad rows are all found', async () => {
    const bench = new SchedulerBench();
    const { blocker, tickets } = await bench.submitBehind(7);
    await bench.end(blocker);
    await bench.settle(refusing(0, 3, 6));
    expect(reasons(tickets)).toEqual([
      'invalid_data',
      'answered',
      'answered',
      'invalid_data',
      'answered',
      'answered',
      'invalid_data',
    ]);
  });

  test('a request of several rows is blamed as a whole, and is not torn apart', async () => {
    const bench = new SchedulerBench();
    const tickets = [bench.submit(fp32Rows(4, 1)), bench.submit(fp32Rows(4, 2))];
    await turn();
    await bench.settle(refusing(2));
    expect(reasons(tickets)).toEqual(['answered', 'invalid_data']);
    expect(bench.executor.runs.map(({ batch }) => batch.rows)).toEqual([8, 4, 4]);
  });

  test('the text is what the model says of the input, without paths of the machine it was built on', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1));
    await turn();
    await bench.settle(() => REFUSED);
    expect(ticket.error?.message).toBe(
      'the model refused this input: indices element out of data bounds, idx=9 must be within the inclusive range [-5,4]',
    );
  });

  test('what waits behind is not held up for longer than the halving takes', async () => {
    const bench = new SchedulerBench({ maxRows: 2 });
    const { blocker, tickets } = await bench.submitBehind(4);
    await bench.end(blocker);
    await bench.settle(refusing(0));
    expect(bench.executor.runs.map((run) => run.values)).toEqual([[-1], [0, 1], [0], [1], [2, 3]]);
    expect(reasons(tickets)).toEqual(['invalid_data', 'answered', 'answered', 'answered']);
  });
});

describe('a runner that dies', () => {
  test.each<RunOutcome>([CRASHED, { kind: 'timed_out', cause: 'no answer within 2000 ms' }])(
    'SCHED-6: each request of its batch runs once more, by itself, and is answered ($kind)',
    async (outcome) => {
      const bench = new SchedulerBench();
      const tickets = [1, 2, 3].map((value) => bench.submit(fp32Rows(1, value)));
      await turn();
      await bench.end(bench.executor.last, outcome);
      await bench.settle();
      expect(bench.executor.runs.map((run) => run.values)).toEqual([[1, 2, 3], [1], [2], [3]]);
      expect(bench.executor.runs.slice(1).map(({ batch }) => batch.reason)).toEqual(['alone', 'alone', 'alone']);
      expect(tickets.map(values)).toEqual([[1], [2], [3]]);
    },
  );

  test('SCHED-6: a replay runs with nothing beside it, however many instances are idle', async () => {
    const bench = new SchedulerBench({ instances: 3 });
    for (const value of [1, 2]) bench.submit(fp32Rows(2, value));
    await turn();
    const [first, other] = bench.executor.runs;
    if (first === undefined || other === undefined) throw new Error('expected two runs');
    first.end(CRASHED);
    bench.submit(fp32Rows(1, 3));
    await turn();
    // The other run is still in flight: the replay waits for it, and what is new waits for the replay.
    expect(bench.executor.inFlight).toEqual(new Set([other]));
    await bench.end(other);
    expect(bench.executor.inFlight.size).toBe(1);
    expect(bench.executor.last.values).toEqual([1, 1]);
    bench.submit(fp32Rows(1, 4));
    await turn();
    expect(bench.executor.inFlight.size).toBe(1);
    await bench.end(bench.executor.last);
    expect([...bench.executor.inFlight].map((run) => run.values)).toEqual([[3], [4]]);
  });

  test('SCHED-6: a second crash names its culprit and hurts no other request', async () => {
    const bench = new SchedulerBench();
    const tickets = [1, 2, 3].map((value) => bench.submit(fp32Rows(1, value)));
    await turn();
    await bench.settle((run) => (run.values.includes(2) ? CRASHED : echo(run)));
    expect(reasons(tickets)).toEqual(['answered', 'runner_killed_twice', 'answered']);
    expect(tickets[1]?.error?.message).toContain('killed by SIGSEGV');
    expect(bench.executor.runs).toHaveLength(4);
  });

  test('a request that runs by itself from the start has its second chance, too', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1));
    await turn();
    await bench.settle(() => CRASHED);
    expect(reasons([ticket])).toEqual(['runner_killed_twice']);
    expect(bench.executor.runs).toHaveLength(2);
  });

  test('a replay whose deadline has passed is not run', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1), { call: callFor(100) });
    await turn();
    await pass(100);
    await bench.end(bench.executor.last, CRASHED);
    expect(reasons([ticket])).toEqual(['deadline_exceeded']);
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('a replay that the model refuses is the fault of its values, and the others go on', async () => {
    const bench = new SchedulerBench();
    const tickets = [1, 2].map((value) => bench.submit(fp32Rows(1, value)));
    await turn();
    await bench.end(bench.executor.last, CRASHED);
    await bench.settle((run) => (run.values.includes(1) ? REFUSED : echo(run)));
    expect(reasons(tickets)).toEqual(['invalid_data', 'answered']);
  });

  test('while no runner is up, requests to be replayed wait', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1, 1));
    await turn();
    const idle = vi.spyOn(bench.executor, 'idle', 'get').mockReturnValue(0);
    await bench.end(bench.executor.last, CRASHED);
    expect(bench.executor.runs).toHaveLength(1);
    expect(bench.scheduler.queuedRequests).toBe(1);
    expect(bench.scheduler.quiet).toBe(false);
    idle.mockRestore();
    bench.scheduler.wake();
    await turn();
    await bench.settle();
    expect(values(ticket)).toEqual([1]);
  });

  test('a runner that is gone for good fails all that waits, also for a replay', async () => {
    const bench = new SchedulerBench();
    const { blocker, tickets } = await bench.submitBehind(2);
    vi.spyOn(bench.executor, 'idle', 'get').mockReturnValue(0);
    await bench.end(blocker, CRASHED);
    bench.scheduler.abandon(new InferError('runner_lost', 'gone'));
    await turn();
    expect(reasons(tickets)).toEqual(['runner_lost', 'runner_lost']);
    expect(bench.scheduler.quiet).toBe(true);
  });
});

describe('other outcomes', () => {
  test('a fault of ours fails the whole batch, with the cause kept out of the text', async () => {
    const bench = new SchedulerBench();
    const tickets = [bench.submit(fp32Rows(1)), bench.submit(fp32Rows(1))];
    await turn();
    const cause = new Error('secret');
    await bench.settle(() => ({ kind: 'failed', error: cause }));
    expect(reasons(tickets)).toEqual(['internal', 'internal']);
    expect(tickets[0]?.error?.message).toBe('internal error');
    expect(tickets[0]?.error?.cause).toBe(cause);
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('a batch that the breaker rejects is refused with the time after which to retry', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1));
    await turn();
    await bench.settle(() => ({ kind: 'rejected', retryAfterMs: 4_000 }));
    expect(reasons([ticket])).toEqual(['breaker_open']);
    expect(ticket.error?.pushback).toBeGreaterThanOrEqual(4_000);
  });

  test('an open breaker refuses what comes, and what waits, without running it', async () => {
    const bench = new SchedulerBench();
    const { blocker, tickets } = await bench.submitBehind(2);
    bench.executor.gate = { kind: 'open', retryAfterMs: 3_000 };
    tickets.push(bench.submit(fp32Rows(1)));
    await bench.end(blocker, { kind: 'failed', error: new Error('broken') });
    expect(reasons(tickets)).toEqual(['breaker_open', 'breaker_open', 'breaker_open']);
    for (const { error } of tickets) {
      expect(error?.pushback).toBeGreaterThanOrEqual(3_000);
      expect(error?.pushback).toBeLessThanOrEqual(3_751);
    }
    expect(bench.executor.runs).toHaveLength(1);
    expect(bench.scheduler.quiet).toBe(true);
  });
});

describe('SCHED-9: while no instance lives', () => {
  /** What a breaker says of instances that are expected back in `backMs`. */
  function downFor(backMs: number, sinceMs = performance.now()): Gate {
    const expectedAtMs = performance.now() + backMs;
    return { kind: 'down', sinceMs, expectedAtMs, retryAfterMs: Math.min(backMs, 5_000), detail: 'restarting' };
  }

  /** No instance is left. */
  function lose(bench: SchedulerBench, gate: Gate): void {
    bench.executor.lost = true;
    bench.executor.gate = gate;
    bench.scheduler.wake();
  }

  async function comeBack(bench: SchedulerBench): Promise<void> {
    bench.executor.lost = false;
    bench.executor.gate = { kind: 'closed' };
    bench.scheduler.wake();
    await turn();
  }

  test('a request whose deadline is after the return waits, and is answered', async () => {
    const bench = new SchedulerBench();
    lose(bench, downFor(1_000));
    const ticket = bench.submit(fp32Rows(1, 7), { call: callFor(5_000) });
    await pass(1_500);
    expect(reasons([ticket])).toEqual(['open']);
    await comeBack(bench);
    await bench.settle();
    expect(values(ticket)).toEqual([7]);
  });

  test('a request whose deadline is before the return is refused at once, with the time until then', async () => {
    const bench = new SchedulerBench();
    lose(bench, downFor(1_000));
    const ticket = bench.submit(fp32Rows(1), { call: callFor(900) });
    await turn();
    expect(reasons([ticket])).toEqual(['runner_lost']);
    expect(ticket.error?.message).toBe("model 'm' version 1 is not at ready state: restarting");
    expect(ticket.error?.pushback).toBeGreaterThanOrEqual(1_000);
    expect(ticket.error?.pushback).toBeLessThanOrEqual(1_250);
    expect(bench.scheduler.quiet).toBe(true);
  });

  test('a request is refused before its deadline, not at it, where the return is late', async () => {
    const bench = new SchedulerBench();
    lose(bench, downFor(1_000));
    const ticket = bench.submit(fp32Rows(1), { call: callFor(3_000) });
    let drained = false;
    void bench.scheduler.drained().then(() => {
      drained = true;
    });
    await pass(2_980);
    expect(reasons([ticket])).toEqual(['open']);
    await pass(10);
    expect(reasons([ticket])).toEqual(['runner_lost']);
    expect(drained).toBe(true);
  });

  test('what waits is refused as soon as a start has failed and the next would be too late for it', async () => {
    const bench = new SchedulerBench();
    lose(bench, downFor(1_000));
    const [soon, late] = [3_000, 9_000].map((ms) => bench.submit(fp32Rows(1), { call: callFor(ms) }));
    await pass(1_000);
    lose(bench, downFor(4_000));
    await turn();
    expect(reasons([soon, late].flatMap((ticket) => ticket ?? []))).toEqual(['runner_lost', 'open']);
    await comeBack(bench);
    await bench.settle();
    expect(reasons([late].flatMap((ticket) => ticket ?? []))).toEqual(['answered']);
  });

  test('the requests of a batch that crashed wait like all others, and run by themselves after the return', async () => {
    const bench = new SchedulerBench();
    const tickets = [5_000, 500].map((ms, value) => bench.submit(fp32Rows(1, value), { call: callFor(ms) }));
    await turn();
    lose(bench, downFor(1_000));
    await bench.end(bench.executor.last, CRASHED);
    expect(reasons(tickets)).toEqual(['open', 'runner_lost']);
    expect(bench.scheduler.queuedRequests).toBe(1);
    await comeBack(bench);
    expect(bench.executor.last.values).toEqual([0]);
    await bench.settle();
    expect(reasons(tickets)).toEqual(['answered', 'runner_lost']);
  });

  test('a request without a deadline waits for half a minute, from its arrival or the begin of the outage', async () => {
    const bench = new SchedulerBench();
    const old = bench.submit(fp32Rows(1, -1));
    await turn();
    const waited = bench.submit(fp32Rows(1));
    await pass(60_000);
    lose(bench, downFor(1_000));
    await bench.end(bench.executor.last, CRASHED);
    const fresh = bench.submit(fp32Rows(1));
    await pass(29_990);
    expect(reasons([old, waited, fresh])).toEqual(['open', 'open', 'open']);
    await pass(20);
    expect(reasons([old, waited, fresh])).toEqual(['runner_lost', 'runner_lost', 'runner_lost']);
  });

  test('nothing waits where no return is expected, because the model itself was refused', async () => {
    const bench = new SchedulerBench();
    lose(bench, { ...(downFor(1_000) as Down), expectedAtMs: FOREVER });
    const tickets = [bench.submit(fp32Rows(1)), bench.submit(fp32Rows(1), { call: callFor(60_000) })];
    await turn();
    expect(reasons(tickets)).toEqual(['runner_lost', 'runner_lost']);
  });

  test('the bounds of the queue hold', async () => {
    const bench = new SchedulerBench({ policy: { maxRequests: 3 } });
    lose(bench, downFor(1_000));
    const tickets = Array.from({ length: 5 }, () => bench.submit(fp32Rows(1), { call: callFor(9_000) }));
    await turn();
    expect(reasons(tickets)).toEqual(['open', 'open', 'open', 'queue_full', 'queue_full']);
  });
});

describe('a run whose callers are gone', () => {
  /** A run of a call that ends in 100 ms, which such a call has left by now. */
  async function abandonedRun(bench: SchedulerBench): Promise<FakeRun> {
    const ticket = bench.submit(fp32Rows(1, 7), { timeoutMs: 100 });
    await turn();
    const run = bench.executor.last;
    expect(run.demand.isInTheWay()).toBe(false);
    await pass(100);
    expect(reasons([ticket])).toEqual(['deadline_exceeded']);
    return run;
  }

  test('goes on while no request waits for its instance', async () => {
    const bench = new SchedulerBench();
    const run = await abandonedRun(bench);
    expect(run.demand.isInTheWay()).toBe(false);
    await bench.end(run);
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('is in the way as long as another request waits for its instance', async () => {
    const bench = new SchedulerBench();
    const run = await abandonedRun(bench);
    const waiting = bench.submit(fp32Rows(1, 8));
    await turn();
    expect(run.demand.isInTheWay()).toBe(true);
    waiting.call.cancel();
    expect(run.demand.isInTheWay()).toBe(false);
  });

  test('is not in the way where another instance is idle', async () => {
    const bench = new SchedulerBench({ instances: 2 });
    const run = await abandonedRun(bench);
    bench.submit(fp32Rows(1, 8));
    await turn();
    expect(bench.executor.runs).toHaveLength(2);
    expect(run.demand.isInTheWay()).toBe(false);
  });

  test('is in the way of requests that wait for nothing to run beside them', async () => {
    const bench = new SchedulerBench({ instances: 2, maxRows: 1 });
    const run = await abandonedRun(bench);
    const other = bench.submit(fp32Rows(1, 8));
    await turn();
    await bench.end(bench.executor.last, CRASHED);
    expect(run.demand.isInTheWay()).toBe(true);
    other.call.cancel();
    expect(run.demand.isInTheWay()).toBe(false);
  });

  test('is in the way of a model that leaves', async () => {
    const bench = new SchedulerBench();
    const run = await abandonedRun(bench);
    void bench.scheduler.drained();
    expect(run.demand.isInTheWay()).toBe(true);
  });

  test('is not in the way while one of its callers waits for the answer', async () => {
    const bench = new SchedulerBench({ maxDelayMs: 1 });
    bench.submit(fp32Rows(1, 7), { timeoutMs: 100 });
    bench.submit(fp32Rows(1, 8));
    await pass(1);
    const run = bench.executor.last;
    expect(run.values).toEqual([7, 8]);
    await pass(100);
    bench.submit(fp32Rows(1, 9));
    await turn();
    expect(run.demand.isInTheWay()).toBe(false);
  });

  test('that is ended for others is not run again, and is reported with its model, request and call', async () => {
    const stopped: RunStopped[] = [];
    const stop = diagnostics.runStopped.subscribe((event) => stopped.push(event));
    const bench = new SchedulerBench();
    const ticket = bench.submit({ ...fp32Rows(1, 7), requestId: 'long' }, { timeoutMs: 100 });
    await pass(100);
    const waiting = bench.submit(fp32Rows(1, 8));
    await pass(400);
    await bench.end(bench.executor.last, { kind: 'abandoned', cause: 'others wait' });
    stop();
    expect(stopped).toEqual([
      {
        model: { name: 'm', version: '1' },
        cause: 'others wait',
        ranMs: 500,
        requests: [{ call: ticket.call, id: 'long' }],
      },
    ]);
    await bench.settle();
    expect(values(waiting)).toEqual([8]);
    expect(bench.executor.runs.map((run) => run.values)).toEqual([[7], [8]]);
  });
});

describe('a run that takes longer than any may', () => {
  const OVERRAN: RunOutcome = { kind: 'overran', cause: 'no answer within 1500 ms', maxMs: 1_500 };

  test('fails its request with the limit, and is not run again', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1, 7));
    await turn();
    await bench.end(bench.executor.last, OVERRAN);
    expect(ticket.error).toMatchObject({ reason: 'limit_exceeded', message: expect.stringContaining('1500 ms') });
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('with several requests runs once more, each by itself, so that only the request that is too long fails', async () => {
    const bench = new SchedulerBench();
    const { blocker, tickets } = await bench.submitBehind(3);
    await bench.end(blocker);
    await bench.end(bench.executor.last, OVERRAN);
    await bench.settle((run) => (run.values[0] === 1 ? OVERRAN : echo(run)));
    expect(reasons(tickets)).toEqual(['answered', 'limit_exceeded', 'answered']);
    expect(bench.executor.runs.map((run) => run.values)).toEqual([[-1], [0, 1, 2], [0], [1], [2]]);
  });
});

test('a batch whose runner is ended for another one runs again as it was, and beside others', async () => {
  const bench = new SchedulerBench({ instances: 2 });
  const { tickets } = await bench.submitBehind(2);
  const [first, second] = bench.executor.runs;
  const interrupted: RunOutcome = { kind: 'interrupted', cause: 'others wait' };
  await bench.end(first!, interrupted);
  await bench.end(second!, interrupted);
  expect(bench.executor.inFlight.size).toBe(2);
  // As often as it takes: none of it is its own doing.
  await bench.end([...bench.executor.inFlight][1]!, interrupted);
  await bench.settle();
  expect(reasons(tickets)).toEqual(['answered', 'answered']);
});

test('SCHED-1: whatever happens in whatever order, each request settles exactly once, and nothing is left', async () => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('enqueue' as const),
        rows: fc.integer({ min: 1, max: 4 }),
        bucket: fc.constantFrom('a', 'b'),
        timeoutMs: fc.constantFrom(undefined, undefined, 3, 30),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), index: fc.nat(30) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('end' as const),
        index: fc.nat(2),
        outcome: fc.constantFrom(
          'ok',
          'ok',
          'ok',
          'refused',
          'crashed',
          'timed_out',
          'overran',
          'interrupted',
          'failed',
        ),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(20) }) },
  );
  const history = fc.record({
    steps: fc.array(step, { maxLength: 80 }),
    instances: fc.integer({ min: 1, max: 3 }),
    maxDelayMs: fc.constantFrom(0, 10),
  });
  const outcomes: Readonly<Record<string, (run: FakeRun) => RunOutcome>> = {
    ok: echo,
    refused: () => REFUSED,
    crashed: () => CRASHED,
    timed_out: () => ({ kind: 'timed_out', cause: 'late' }),
    overran: () => ({ kind: 'overran', cause: 'late', maxMs: 9 }),
    interrupted: () => ({ kind: 'interrupted', cause: 'another' }),
    failed: () => ({ kind: 'failed', error: new Error('broken') }),
  };
  await fc.assert(
    fc.asyncProperty(history, async ({ steps, instances, maxDelayMs }) => {
      const bench = new SchedulerBench({ instances, maxDelayMs, maxRows: 4, policy: { maxRequests: 6 } });
      const tickets: Ticket[] = [];
      let settlements = 0;
      const watch = (ticket: Ticket): void => {
        const { error, answer } = ticket;
        let now = [error, answer];
        // Whatever is assigned later was not meant to be.
        for (const key of ['error', 'answer'] as const) {
          Object.defineProperty(ticket, key, {
            get: () => now[key === 'error' ? 0 : 1],
            set: (value) => {
              settlements++;
              now = key === 'error' ? [value, undefined] : [undefined, value];
            },
          });
        }
        tickets.push(ticket);
      };
      for (const one of steps) {
        switch (one.do) {
          case 'enqueue':
            watch(
              bench.submit(fp32Rows(one.rows, tickets.length, one.bucket), {
                ...(one.timeoutMs === undefined ? {} : { timeoutMs: one.timeoutMs }),
              }),
            );
            break;
          case 'cancel':
            tickets[one.index]?.call.cancel();
            break;
          case 'end': {
            const run = [...bench.executor.inFlight][one.index];
            if (run !== undefined) run.end((outcomes[one.outcome] ?? echo)(run));
            break;
          }
          case 'pass':
            await pass(one.ms);
            break;
        }
        expect(bench.scheduler.queuedRows).toBeLessThanOrEqual(6 * 4);
      }
      await pass(100);
      await bench.settle();
      await pass(100);
      await bench.settle();
      expect(settlements).toBe(tickets.length);
      for (const [index, ticket] of tickets.entries()) {
        if (ticket.answer === undefined) continue;
        expect(values(ticket)).toEqual(Array(ticket.tensors.rows).fill(index));
      }
      for (const { batch } of bench.executor.runs) {
        expect(batch.rows).toBeLessThanOrEqual(4);
        expect(new Set(batch.requests.map(({ tensors }) => tensors.bucket)).size).toBe(1);
      }
      expect(bench.scheduler.quiet).toBe(true);
      expect(vi.getTimerCount()).toBe(0);
    }),
    { numRuns: 300 },
  );
});

describe('requests of unlike length in one bucket', () => {
  /** A request whose value is its length. */
  const text = (length: number): InferTensors => ({ ...fp32Rows(1, length), size: { elements: length, length } });

  /** The runs of what waits behind a busy instance, by the lengths of their requests, where a batch takes so long. */
  async function runsOf(lengths: readonly number[], fixedMs: number, elementMs: number, settings: BenchSettings = {}) {
    const bench = new SchedulerBench(settings);
    for (const length of [29, 30, 35, 36]) bench.teach(fixedMs, elementMs * length, text(length).size);
    bench.submit(text(36));
    await turn();
    const blocker = bench.executor.last;
    const tickets = lengths.map((length) => bench.submit(text(length)));
    await turn();
    await bench.end(blocker);
    await bench.settle();
    expect(tickets.map(values)).toEqual(lengths.map((length) => [length]));
    return bench.executor.runs.slice(1).map((run) => run.values.toSorted((a, b) => a - b));
  }

  test('share a batch where a run of their own would cost more than their padding', async () => {
    expect(await runsOf([30, 36, 29, 35], 100, 0.1)).toEqual([[29, 30, 35, 36]]);
  });

  test('run by nearly equal length where their padding would cost more', async () => {
    expect(await runsOf([30, 36, 29, 35], 3, 1)).toEqual([
      [29, 30],
      [35, 36],
    ]);
  });

  test('share a batch of a preferred size, whatever their padding costs', async () => {
    expect(await runsOf([30, 36, 29, 35], 3, 1, { preferredRows: [4] })).toEqual([[29, 30, 35, 36]]);
  });
});

describe('occupancy', () => {
  test('counts rows from when they are taken until they are answered, given up or refused by the model', async () => {
    const bench = new SchedulerBench({ instances: 2, maxRows: 8 });
    const { occupancy } = bench.scheduler;
    expect(occupancy.capacity).toBe(16);
    const rowsNow = (): number => occupancy.rowMs(performance.now() + 1) - occupancy.rowMs(performance.now());
    const [first, second] = [new FakeCall(), new FakeCall()];
    bench.submit(fp32Rows(3), { call: first });
    await turn();
    bench.submit(fp32Rows(2), { call: second });
    await turn();
    bench.submit(fp32Rows(1, 7));
    await turn();
    expect(rowsNow()).toBe(6);
    const [run, other] = bench.executor.inFlight;
    await bench.end(run!);
    expect(rowsNow()).toBe(3);
    second.cancel();
    expect(rowsNow()).toBe(1);
    await bench.end(other!, REFUSED);
    await bench.settle(() => REFUSED);
    expect(rowsNow()).toBe(0);
  });

  test('leaves out unused time', async () => {
    const bench = new SchedulerBench({ policy: { maxRequests: 1 } });
    const { tickets } = await bench.submitBehind(3);
    expect(tickets.filter(({ error }) => error?.reason === 'queue_full')).toHaveLength(2);
    const { occupancy } = bench.scheduler;
    expect(occupancy.rowMs(performance.now() + 1) - occupancy.rowMs(performance.now())).toBe(2);
    await bench.settle();
  });
});

describe('a refusal before the request is known', () => {
  /** A request of rows of a size: many elements cost more. */
  function sized(rows: number, elements: number): InferTensors {
    return { ...fp32Rows(rows, 0, `${elements}`), size: { elements, length: 1 }, bytes: 4 * rows * elements };
  }

  test('comes to who has too little time, as the queue would say it, and not while the version is quiet', async () => {
    const bench = new SchedulerBench({ maxRows: 1 });
    bench.teach(100);
    expect(bench.scheduler.refusal(callFor(10), NO_TERMS)).toBeUndefined();
    await bench.submitBehind(20);
    expect(bench.scheduler.refusal(callFor(10_000), NO_TERMS)).toBeUndefined();
    const early = bench.scheduler.refusal(callFor(200), NO_TERMS);
    const whole = bench.submit(fp32Rows(1), { call: callFor(200) });
    await turn();
    expect(early?.message).toBe(whole.error?.message);
    expect([early?.reason, early?.status]).toEqual([whole.error?.reason, whole.error?.status]);
    await bench.settle();
  });

  test('comes to who finds the queue full, unless a larger flow gives way to it', async () => {
    const tenantOf = tenantsBy('tenant', new Map());
    const bench = new SchedulerBench({ maxRows: 1, policy: { maxRequests: 8 }, tenantOf });
    const callOf = (tenant: string): FakeCall => new FakeCall(performance.now() + 60_000, { tenant });
    bench.teach(1);
    bench.submit(fp32Rows(1), { call: callOf('greedy') });
    await turn();
    for (let count = 0; count < 8; count++) bench.submit(fp32Rows(1), { call: callOf('greedy') });
    const early = bench.scheduler.refusal(callOf('greedy'), NO_TERMS);
    const whole = bench.submit(fp32Rows(1), { call: callOf('greedy') });
    await turn();
    expect([early?.reason, early?.message]).toEqual(['queue_full', whole.error?.message]);
    expect(early?.pushback).toBeGreaterThan(0);
    expect(bench.scheduler.refusal(callOf('modest'), NO_TERMS)).toBeUndefined();
    await bench.settle();
  });

  test('spares a request of many rows that would be let through as a probe', async () => {
    const bench = new SchedulerBench({ maxRows: 8 });
    for (const elements of [1, 100]) bench.teach(20, elements / 2, { elements, length: 1 });
    bench.submit(sized(1, 1));
    await pass(20);
    await bench.settle();
    await pass(6_000);
    bench.submit(sized(4, 100));
    await turn();
    // The largest request needs 220 ms by itself; a row of its size needs 70, and would not be tried.
    expect(bench.scheduler.refusal(callFor(60), NO_TERMS)).toBeUndefined();
    const probe = bench.submit(sized(4, 100), { call: callFor(60) });
    await Promise.resolve();
    expect(probe.error).toBeUndefined();
    await bench.settle();
  });

  test('leaves the queue as it was', async () => {
    const bench = new SchedulerBench({ maxRows: 1 });
    bench.teach(100);
    const { blocker } = await bench.submitBehind(5);
    const before = [bench.scheduler.queuedRequests, bench.scheduler.queuedRows];
    for (let round = 0; round < 100; round++) bench.scheduler.refusal(callFor(1 + round), NO_TERMS);
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual(before);
    await bench.end(blocker);
    await bench.settle();
  });

  test('agrees with the refusal of the queue, for any backlog, any caller and any earlier size', async () => {
    const size = fc.constantFrom(1, 10, 100);
    const rows = fc.integer({ min: 1, max: 4 });
    const deadline = fc.option(fc.integer({ min: 1, max: 800 }), { nil: undefined });
    const request = fc.record({ size, rows, deadline, priority: fc.integer({ min: 0, max: 3 }) });
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 20, maxLength: 60 }),
        fc.array(request, { minLength: 10, maxLength: 20 }),
        fc.constantFrom(0, 10, 900, 1_500),
        fc.constantFrom(4, 12, 1_024),
        async (waiting, asking, laterMs, maxRequests) => {
          const level = queuePolicy({ maxRequests });
          const levels = new QueuePolicies([level, level, level], 2);
          const bench = new SchedulerBench({ maxRows: 8, queues: levels });
          for (const elements of [1, 10, 100]) bench.teach(20, elements / 2, { elements, length: 1 });
          const callOf = (ms: number | undefined): FakeCall => (ms === undefined ? new FakeCall() : callFor(ms));
          const submit = (each: (typeof waiting)[number], call: FakeCall): Ticket =>
            bench.submit(sized(each.rows, each.size), { call, priority: each.priority });
          // The least and the most that comes.
          for (const [elements, count] of [
            [1, 1],
            [100, 4],
          ] as const) {
            submit({ size: elements, rows: count, deadline: undefined, priority: 0 }, new FakeCall());
            await turn();
          }
          for (const each of waiting) submit(each, callOf(each.deadline));
          await turn();
          await pass(laterMs);
          for (const each of asking) {
            const call = callOf(each.deadline);
            if (bench.scheduler.refusal(call, { ...NO_TERMS, priority: each.priority }) === undefined) continue;
            refused++;
            const ticket = submit(each, call);
            await Promise.resolve();
            expect(ticket.error).toBeInstanceOf(InferError);
          }
          await bench.settle();
        },
      ),
      { numRuns: 150 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});
