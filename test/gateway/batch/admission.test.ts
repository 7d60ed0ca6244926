/** Which requests the Scheduler takes, refuses and gives up: predictions that are wrong, callers without deadlines, and flows. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QueuePolicy } from '../../../src/gateway/batch/queue-policy.ts';
import { tenantsBy } from '../../../src/gateway/batch/tenants.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { FakeCall } from '../../support/fake-call.ts';
import { useFakeClock } from '../../support/fake-clock.ts';
import { echo } from '../../support/fake-executor.ts';
import { fp32Rows } from '../../support/queued-requests.ts';
import { callFor, pass, reasons, SchedulerBench, type Ticket, turn } from '../../support/scheduler-bench.ts';

useFakeClock();

/** A call that names no deadline: the server's default ends it. */
function callWithout(defaultMs = 30_000): FakeCall {
  return Object.assign(new FakeCall(performance.now() + defaultMs), { namesDeadline: false });
}

/** Lets the runs in flight take `ms`, and all that follow, until nothing is in flight. */
async function serve(bench: SchedulerBench, ms: number): Promise<void> {
  for (let [run] = bench.executor.inFlight; run !== undefined; [run] = bench.executor.inFlight) {
    await pass(ms);
    await bench.end(run, echo(run));
  }
}

describe('an idle version with an empty queue', () => {
  test('after any history of slow runs it runs what has not expired, and soon answers in time again', async () => {
    const histories = fc.array(
      fc.record({ factor: fc.double({ min: 1, max: 100, noNaN: true }), runs: fc.integer({ min: 1, max: 30 }) }),
      {
        maxLength: 4,
      },
    );
    await fc.assert(
      fc.asyncProperty(histories, fc.double({ min: 1.2, max: 10, noNaN: true }), async (history, slack) => {
        const bench = new SchedulerBench();
        bench.teach(10);
        for (const { factor, runs } of history) {
          for (let run = 0; run < runs; run++) {
            bench.submit(fp32Rows(1), { call: callFor(60_000) });
            await turn();
            await serve(bench, 10 * factor);
            await pass(20);
          }
        }
        const tickets: Ticket[] = [];
        for (let count = 0; count < 5; count++) {
          tickets.push(bench.submit(fp32Rows(1), { call: callFor(10 * slack) }));
          await turn();
          await serve(bench, 10);
          await pass(50);
        }
        expect(reasons(tickets)).toEqual(Array(5).fill('answered'));
      }),
      { numRuns: 25 },
    );
  });

  test('it runs a request that even the fastest run would answer too late: the fastest may have been slow', async () => {
    const bench = new SchedulerBench();
    bench.teach(100);
    const ticket = bench.submit(fp32Rows(1), { call: callFor(50) });
    await turn();
    expect(bench.executor.runs).toHaveLength(1);
    await serve(bench, 20);
    expect(reasons([ticket])).toEqual(['answered']);
  });

  test('an expired request does not run there either', async () => {
    const bench = new SchedulerBench();
    const ticket = bench.submit(fp32Rows(1), { call: callFor(0) });
    await turn();
    expect([reasons([ticket]), bench.executor.runs.length]).toEqual([['deadline_exceeded'], 0]);
  });
});

describe('a busy version', () => {
  /** A version that believes that a row of the other bucket takes 500 ms, and is never quiet. */
  async function busyBench(): Promise<SchedulerBench> {
    const bench = new SchedulerBench({ instances: 2 });
    bench.teach(500);
    await bench.submitBehind(0, 600_000);
    return bench;
  }

  test('it lets a probe run at intervals while it refuses because of a prediction', async () => {
    const bench = await busyBench();
    const outcomes: string[] = [];
    for (let count = 0; count < 40; count++) {
      await pass(1_000);
      const [outcome = ''] = reasons([bench.submit(fp32Rows(1), { call: callFor(100) })]);
      await turn();
      outcomes.push(bench.executor.runs.length > 1 ? 'probe' : outcome);
      const [, probe] = bench.executor.runs.splice(0, 2);
      if (probe !== undefined) {
        await bench.end(probe);
        break;
      }
      bench.executor.runs.push(...bench.executor.inFlight);
    }
    // Twenty runs of 500 ms.
    expect(outcomes.indexOf('probe')).toBeGreaterThanOrEqual(8);
    expect(outcomes.indexOf('probe')).toBeLessThanOrEqual(11);
  });
});

describe('a call that names no deadline', () => {
  test('is refused behind twice its objective of work, with RESOURCE_EXHAUSTED and the time after which to retry', async () => {
    const bench = new SchedulerBench({ maxRows: 1, objectiveMs: 101 });
    bench.teach(50);
    await bench.submitBehind(0);
    const tickets = Array.from({ length: 6 }, () => bench.submit(fp32Rows(1), { call: callWithout() }));
    await turn();
    expect(reasons(tickets)).toEqual(['open', 'open', 'open', 'overloaded', 'overloaded', 'overloaded']);
    expect(tickets[5]?.error?.pushback).toBeGreaterThan(100);
    expect(tickets[5]?.error).toBeInstanceOf(InferError);
    expect(tickets[5]?.error?.message).toContain('objective of 100 ms (objective_ms)');
  });

  test('is answered however late, once it runs', async () => {
    const bench = new SchedulerBench({ objectiveMs: 100 });
    const ticket = bench.submit(fp32Rows(1), { call: callWithout() });
    await turn();
    await serve(bench, 20_000);
    expect(reasons([ticket])).toEqual(['answered']);
  });

  test('is not given up after a stall: what waits is worked off, late calls first', async () => {
    const bench = new SchedulerBench({ maxRows: 1, objectiveMs: 100 });
    bench.teach(10);
    const { blocker } = await bench.submitBehind(0);
    const late = [0, 1, 2].map((value) => bench.submit(fp32Rows(1, value), { call: callWithout() }));
    await pass(5_000);
    const fresh = bench.submit(fp32Rows(1, 3), { call: callWithout() });
    await bench.end(blocker);
    await serve(bench, 10);
    expect(reasons([...late, fresh])).toEqual(Array(4).fill('answered'));
    expect(bench.executor.runs.slice(1).flatMap((run) => run.values)).toEqual([0, 1, 2, 3]);
  });

  test('is given up with RESOURCE_EXHAUSTED, never DEADLINE_EXCEEDED, when its objective has passed under overload', async () => {
    const bench = new SchedulerBench({ maxRows: 1, objectiveMs: 100 });
    bench.teach(10);
    const { blocker } = await bench.submitBehind(0);
    const late = Array.from({ length: 12 }, () => bench.submit(fp32Rows(1), { call: callWithout() }));
    await pass(150);
    const fresh = Array.from({ length: 4 }, () => bench.submit(fp32Rows(1), { call: callWithout() }));
    await bench.end(blocker);
    await serve(bench, 10);
    expect(new Set(reasons(late))).toEqual(new Set(['overloaded']));
    expect(late.every(({ error }) => Number(error?.pushback) > 0)).toBe(true);
    expect(reasons(fresh)).toEqual(Array(4).fill('answered'));
  });

  test('ends with DEADLINE_EXCEEDED only at the end of its real time', async () => {
    const bench = new SchedulerBench({ objectiveMs: 100 });
    await bench.submitBehind(0);
    const ticket = bench.submit(fp32Rows(1), { call: callWithout(2_000) });
    await pass(1_999);
    expect(reasons([ticket])).toEqual(['open']);
    ticket.call.cancel('deadline');
    await turn();
    expect(reasons([ticket])).toEqual(['deadline_exceeded']);
  });

  test.each<[string, { timeoutMs?: number; policy?: Partial<QueuePolicy> }]>([
    ['the parameter timeout', { timeoutMs: 1_000 }],
    ["the model's default_timeout_microseconds", { policy: { defaultTimeoutMs: 1_000 } }],
  ])('keeps the time of %s, which is no objective', async (_, { timeoutMs, policy = {} }) => {
    const bench = new SchedulerBench({ maxRows: 1, objectiveMs: 10, policy });
    bench.teach(50);
    await bench.submitBehind(0);
    const tickets = Array.from({ length: 8 }, () => bench.submit(fp32Rows(1), { call: callWithout(), timeoutMs }));
    await turn();
    expect(reasons(tickets)).toEqual(Array(8).fill('open'));
    await pass(1_000);
    expect(new Set(reasons(tickets))).toEqual(new Set(['deadline_exceeded']));
  });

  test('has an objective of ten runs, and of 250 ms at least, where none is set', async () => {
    for (const [runMs, admitted] of [
      [10, 2 * 25 - 1],
      [100, 2 * 10 - 1],
    ] as const) {
      const bench = new SchedulerBench({ maxRows: 1 });
      bench.teach(runMs);
      await bench.submitBehind(0);
      const tickets = Array.from({ length: 60 }, () => bench.submit(fp32Rows(1), { call: callWithout() }));
      await turn();
      const open = reasons(tickets).filter((reason) => reason === 'open').length;
      expect(Math.abs(open - admitted)).toBeLessThanOrEqual(1);
    }
  });
});

describe('a step of an ensemble', () => {
  test('is to be ready before what follows it needs its time', async () => {
    const bench = new SchedulerBench({ maxRows: 1 });
    bench.teach(50);
    await bench.submitBehind(0);
    const [last, first] = [0, 1_000].map((ms) =>
      bench.submit(fp32Rows(1), {
        call: callFor(340),
        terms: { behind: () => ({ ms, runMs: ms, readyInMs: 0, isIdle: true }) },
      }),
    );
    await turn();
    expect(reasons([last, first] as Ticket[])).toEqual(['open', 'cannot_meet_deadline']);
  });

  test('has the objective of the whole call, where that named no deadline', async () => {
    const bench = new SchedulerBench({ maxRows: 1, objectiveMs: 1_000 });
    bench.teach(50);
    await bench.submitBehind(0);
    const objectiveAt = performance.now() + 40;
    const [step, other] = [{ objectiveAt }, {}].map((terms) =>
      bench.submit(fp32Rows(1), { call: callWithout(), terms }),
    );
    await turn();
    expect(reasons([step, other] as Ticket[])).toEqual(['overloaded', 'open']);
  });
});

describe('callers who contend', () => {
  const callOf = (tenant: string, ms = 400): FakeCall =>
    Object.assign(new FakeCall(performance.now() + ms, { tenant }), { wayBackMs: 0 });

  test('a tenant that asks for little is answered beside one that floods the queue', async () => {
    const bench = new SchedulerBench({ maxRows: 4, tenantOf: tenantsBy('tenant', new Map()) });
    bench.teach(20);
    const { blocker } = await bench.submitBehind(0);
    for (let count = 0; count < 100; count++) bench.submit(fp32Rows(1, -1), { call: callOf('greedy') });
    const modest = [1, 2].map((value) => bench.submit(fp32Rows(1, value), { call: callOf('modest') }));
    await bench.end(blocker);
    expect(bench.executor.last.values.filter((value) => value > 0)).toEqual([1, 2]);
    await bench.settle();
    expect(reasons(modest)).toEqual(['answered', 'answered']);
  });

  test('a full queue lets it in, and the flood gives way with queue_full', async () => {
    const bench = new SchedulerBench({ policy: { maxRequests: 10 }, tenantOf: tenantsBy('tenant', new Map()) });
    await bench.submitBehind(0);
    const greedy = Array.from({ length: 11 }, () => bench.submit(fp32Rows(1), { call: callOf('greedy') }));
    const modest = bench.submit(fp32Rows(1), { call: callOf('modest') });
    await turn();
    expect(reasons(greedy)).toEqual([...Array(9).fill('open'), 'queue_full', 'queue_full']);
    expect(greedy[9]?.error?.pushback).toBeGreaterThan(0);
    expect(reasons([modest])).toEqual(['open']);
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual([10, 10]);
  });

  test('weights divide what both ask for', async () => {
    const weights = new Map([['gold', 3]]);
    const bench = new SchedulerBench({ maxRows: 4, tenantOf: tenantsBy('tenant', weights) });
    bench.teach(20);
    const { blocker } = await bench.submitBehind(0);
    for (let count = 0; count < 12; count++) {
      bench.submit(fp32Rows(1, 0), { call: callOf('plain') });
      bench.submit(fp32Rows(1, 1), { call: callOf('gold') });
    }
    await bench.end(blocker);
    for (let batch = 0; batch < 2; batch++) await bench.end(bench.executor.last);
    const sent = bench.executor.runs.slice(1, 4).flatMap((run) => run.values);
    expect(sent.filter((value) => value === 1)).toHaveLength(9);
  });

  test('callers with deadlines are not shut out by those without', async () => {
    const bench = new SchedulerBench({ maxRows: 4 });
    bench.teach(20);
    const { blocker } = await bench.submitBehind(0);
    for (let count = 0; count < 40; count++) bench.submit(fp32Rows(1, 0), { call: callWithout() });
    const named = [1, 2].map((value) => bench.submit(fp32Rows(1, value), { call: callFor(60) }));
    await bench.end(blocker);
    await serve(bench, 20);
    expect(reasons(named)).toEqual(['answered', 'answered']);
  });
});
