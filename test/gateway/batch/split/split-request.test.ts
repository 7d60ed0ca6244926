/** A request with more rows than a batch may have, in a queue whose instances the test ends by hand. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { InferTensors } from '../../../../src/gateway/admit/infer-tensors.ts';
import { UNIT_ROW } from '../../../../src/gateway/admit/infer-tensors.ts';
import { NO_TERMS } from '../../../../src/gateway/admit/request-terms.ts';
import { InferError } from '../../../../src/gateway/errors.ts';
import type { RunOutcome } from '../../../../src/worker/run-outcome.ts';
import { FakeCall } from '../../../support/fake-call.ts';
import { echo } from '../../../support/fake-executor.ts';
import { fp32Rows } from '../../../support/queued-requests.ts';
import { below, randomFrom } from '../../../support/random.ts';
import { callFor, pass, reasons, SchedulerBench, turn, values } from '../../../support/scheduler-bench.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Rows that hold `first`, `first` + 1, … */
function counted(rows: number, first = 0): InferTensors {
  const elements = Float32Array.from({ length: rows }, (_, row) => first + row);
  return { ...fp32Rows(rows), inputs: [new Uint8Array(elements.buffer)] };
}

const upTo = (rows: number, first = 0): number[] => Array.from({ length: rows }, (_, row) => first + row);
const REFUSED: RunOutcome = { kind: 'refused', message: 'index out of range' };
const CRASHED: RunOutcome = { kind: 'crashed', cause: 'killed by SIGKILL' };

describe('a request with more rows than a batch may have', () => {
  test('runs in full batches and a rest, and is answered once, in the order of its rows', async () => {
    const bench = new SchedulerBench({ maxRows: 4 });
    const ticket = bench.submit(counted(10));
    await turn();
    await bench.settle();
    expect(bench.executor.runs.map(({ batch }) => batch.rows)).toEqual([4, 4, 2]);
    expect(values(ticket)).toEqual(upTo(10));
    expect(ticket.answer?.outputs[0]).toMatchObject({ name: 'out', shape: [10, 1] });
    expect(ticket.answer?.requestIsSpent).toBe(true);
    expect(bench.scheduler.quiet).toBe(true);
  });

  test('runs on all idle instances at once, and is joined by rows, not by time', async () => {
    const bench = new SchedulerBench({ maxRows: 4, instances: 3 });
    const ticket = bench.submit(counted(12));
    await turn();
    expect(bench.executor.inFlight.size).toBe(3);
    for (const run of [...bench.executor.inFlight].reverse()) await bench.end(run);
    expect(values(ticket)).toEqual(upTo(12));
  });

  test('shares the batch of its rest with other requests', async () => {
    const bench = new SchedulerBench({ maxRows: 4 });
    const { blocker } = await bench.submitBehind(0);
    const large = bench.submit(counted(6));
    const small = bench.submit(counted(2, 100));
    await bench.end(blocker);
    await bench.settle();
    expect(bench.executor.runs.map(({ batch }) => batch.rows)).toEqual([1, 4, 4]);
    expect(values(large)).toEqual(upTo(6));
    expect(values(small)).toEqual([100, 101]);
  });

  test('is timed by its wait before the first run and the sum of its runs', async () => {
    const bench = new SchedulerBench({ maxRows: 4 });
    const { blocker } = await bench.submitBehind(0);
    const ticket = bench.submit(counted(10));
    await pass(5);
    await bench.end(blocker);
    await pass(20);
    await bench.settle();
    expect(ticket.answer?.timing).toEqual({ queueMs: 5, inputMs: 0, computeMs: 3, outputMs: 0, batchRows: 4 });
  });

  test('counts runs beside each other once, so that its times are parts of the whole', async () => {
    const bench = new SchedulerBench({ maxRows: 4, instances: 4 });
    const ticket = bench.submit(counted(16));
    await turn();
    await pass(6);
    await bench.settle((run) => ({ ...echo(run), inputMs: 1, computeMs: 2, outputMs: 1 }) as RunOutcome);
    expect(ticket.answer?.timing).toEqual({ queueMs: 0, inputMs: 1.5, computeMs: 3, outputMs: 1.5, batchRows: 4 });
  });

  test('gives whichever outputs are wanted', async () => {
    const bench = new SchedulerBench({ maxRows: 2 });
    const answer = bench.scheduler.enqueue(counted(4), new FakeCall(), NO_TERMS, [{ spec: { name: 'other' } }]);
    await turn();
    await bench.settle((run) => {
      const done = echo(run);
      if (done.kind !== 'ok') throw new Error('an echo ends well');
      return { ...done, outputs: [...done.outputs, ...done.outputs.map((output) => ({ ...output, name: 'other' }))] };
    });
    expect((await answer).outputs.map(({ name, shape }) => ({ name, shape }))).toEqual([
      { name: 'other', shape: [4, 1] },
    ]);
  });

  test('counts as one request in the queue, with all of its rows, until its last part is sent', async () => {
    const bench = new SchedulerBench({ maxRows: 4 });
    const { blocker } = await bench.submitBehind(0);
    bench.submit(counted(10));
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual([1, 10]);
    await bench.end(blocker);
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual([1, 6]);
    await bench.end(bench.executor.last);
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual([1, 2]);
    await bench.end(bench.executor.last);
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual([0, 0]);
  });

  test('finds room where one request does, however many parts it has', async () => {
    const bench = new SchedulerBench({ maxRows: 2, policy: { maxRequests: 2 } });
    const { blocker } = await bench.submitBehind(0);
    const tickets = [counted(9), counted(9), counted(1)].map((tensors) => bench.submit(tensors));
    await turn();
    expect(reasons(tickets)).toEqual(['open', 'open', 'queue_full']);
    await bench.end(blocker);
    await bench.settle();
    expect(reasons(tickets)).toEqual(['answered', 'answered', 'queue_full']);
  });

  test('takes no place at all where the bytes of the whole do not fit', async () => {
    const bench = new SchedulerBench({ maxRows: 2, maxQueueBytes: 36 });
    const { blocker } = await bench.submitBehind(1);
    const large = bench.submit(counted(9));
    await turn();
    expect(large.error?.message).toContain('36 more do not fit (max_queue_bytes)');
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual([1, 1]);
    await bench.end(blocker);
    await bench.settle();
  });

  test('leaves as a whole where it gives way to a smaller caller', async () => {
    const tenantOf = (call: { get(name: string): string | Uint8Array | undefined }) => ({
      name: String(call.get('tenant')),
      weight: 1,
    });
    const bench = new SchedulerBench({ maxRows: 2, policy: { maxRequests: 1 }, tenantOf });
    const { blocker } = await bench.submitBehind(0);
    const large = bench.submit(counted(9), { call: new FakeCall(undefined, { tenant: 'a' }) });
    const small = bench.submit(counted(1), { call: new FakeCall(undefined, { tenant: 'b' }) });
    await turn();
    expect(reasons([large, small])).toEqual(['queue_full', 'open']);
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows]).toEqual([1, 1]);
    await bench.end(blocker);
    await bench.settle();
    expect(values(small)).toEqual([0]);
  });

  test('lets another caller run between its parts', async () => {
    const tenantOf = (call: { get(name: string): string | Uint8Array | undefined }) => ({
      name: String(call.get('tenant')),
      weight: 1,
    });
    const bench = new SchedulerBench({ maxRows: 2, tenantOf });
    const large = bench.submit(counted(40), { call: new FakeCall(undefined, { tenant: 'a' }) });
    await turn();
    const small = bench.submit(counted(2, 100), { call: new FakeCall(undefined, { tenant: 'b' }) });
    await bench.end(bench.executor.last);
    await bench.end(bench.executor.last);
    await bench.end(bench.executor.last);
    expect(reasons([large, small])).toEqual(['open', 'answered']);
    await bench.settle();
    expect(values(large)).toEqual(upTo(40));
  });
});

describe('a request whose parts do not all succeed', () => {
  test('fails once, with the error of the part, and its other parts do not run', async () => {
    const bench = new SchedulerBench({ maxRows: 2 });
    const ticket = bench.submit(counted(8));
    await turn();
    await bench.end(bench.executor.last);
    await bench.end(bench.executor.last, REFUSED);
    await bench.settle();
    expect(ticket.error).toMatchObject({ reason: 'invalid_data', message: expect.stringContaining('out of range') });
    expect(bench.executor.runs).toHaveLength(2);
    expect([bench.scheduler.queuedRequests, bench.scheduler.queuedRows, bench.scheduler.quiet]).toEqual([0, 0, true]);
  });

  test('fails with the bad part although that shared its batch, whose other request is answered', async () => {
    const bench = new SchedulerBench({ maxRows: 4 });
    const { blocker } = await bench.submitBehind(0);
    const large = bench.submit(counted(6));
    const small = bench.submit(counted(2, 100));
    await bench.end(blocker);
    await bench.settle((run) => (run.values.includes(4) ? REFUSED : echo(run)));
    expect(reasons([large, small])).toEqual(['invalid_data', 'answered']);
    expect(values(small)).toEqual([100, 101]);
  });

  test('runs only the part again whose runner died', async () => {
    const bench = new SchedulerBench({ maxRows: 2, instances: 2 });
    const ticket = bench.submit(counted(8));
    await turn();
    const [, second] = bench.executor.inFlight;
    if (second === undefined) throw new Error('both instances run');
    await bench.end(second, CRASHED);
    await bench.settle();
    expect(values(ticket)).toEqual(upTo(8));
    const ran = bench.executor.runs.map((run) => run.values[0]).sort((a = 0, b = 0) => a - b);
    expect(ran).toEqual([0, 2, 2, 4, 6]);
  });

  test('fails where the runner of the same part dies twice', async () => {
    const bench = new SchedulerBench({ maxRows: 2 });
    const ticket = bench.submit(counted(4));
    await turn();
    await bench.settle((run) => (run.values[0] === 2 ? CRASHED : echo(run)));
    expect(ticket.error?.reason).toBe('runner_killed_twice');
  });

  test('fails where its outputs together are larger than the limit of one request', async () => {
    const bench = new SchedulerBench({ maxRows: 2, maxOutputBytes: 15 });
    const ticket = bench.submit(counted(4));
    await turn();
    await bench.settle();
    expect(ticket.error).toMatchObject({ reason: 'limit_exceeded', message: expect.stringContaining('16 bytes') });
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('fails with the error that abandons the queue', async () => {
    const bench = new SchedulerBench({ maxRows: 2 });
    const ticket = bench.submit(counted(6));
    await turn();
    bench.scheduler.abandon(new InferError('draining', 'the server drains'));
    await bench.settle();
    expect(ticket.error).toMatchObject({ reason: 'draining', message: 'the server drains' });
    await bench.scheduler.drained();
  });
});

describe('the time of a request that is split', () => {
  test('is over for all parts when the client leaves', async () => {
    const bench = new SchedulerBench({ maxRows: 2 });
    const ticket = bench.submit(counted(8));
    await turn();
    ticket.call.cancel('client');
    await bench.settle();
    expect(ticket.error?.reason).toBe('cancelled');
    expect(bench.executor.runs).toHaveLength(1);
    expect(ticket.call.onCancel).toBeUndefined();
  });

  test('is over for all parts at the limit of the queue, whatever runs then', async () => {
    const bench = new SchedulerBench({ maxRows: 2, policy: { defaultTimeoutMs: 50 } });
    const ticket = bench.submit(counted(8));
    await turn();
    await bench.end(bench.executor.last);
    await pass(50);
    expect(ticket.error?.reason).toBe('deadline_exceeded');
    await bench.settle();
    expect(bench.executor.runs).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('only makes it wait behind others where the policy says so', async () => {
    const bench = new SchedulerBench({ maxRows: 2, policy: { defaultTimeoutMs: 50, timeoutAction: 'delay' } });
    const { blocker } = await bench.submitBehind(0);
    const large = bench.submit(counted(6));
    await pass(60);
    const small = bench.submit(counted(2, 100));
    await bench.end(blocker);
    expect(bench.executor.last.values).toEqual([100, 101]);
    await bench.settle();
    expect(reasons([large, small])).toEqual(['answered', 'answered']);
    expect(values(large)).toEqual(upTo(6));
  });

  test('is predicted as the sum of its batches, on all instances', async () => {
    for (const [instances, reason] of [
      [1, 'deadline_too_short'],
      [4, 'open'],
    ] as const) {
      const bench = new SchedulerBench({ maxRows: 8, instances });
      bench.teach(100);
      const others = Array.from({ length: instances - 1 || 1 }, () => bench.submit(fp32Rows(1, -1)));
      await turn();
      // Four batches of 100 ms.
      const ticket = bench.submit(counted(32), { call: callFor(120) });
      await turn();
      expect(reasons([ticket])).toEqual([reason]);
      await bench.settle();
      expect(others).toHaveLength(instances - 1 || 1);
    }
  });

  test('is its objective where the caller names none: ten times all of its batches', async () => {
    const bench = new SchedulerBench({ maxRows: 8 });
    bench.teach(100);
    bench.submit(counted(32));
    await turn();
    const [first] = bench.executor.inFlight;
    const [part] = first?.batch.requests ?? [];
    expect(part?.objectiveAt ?? 0).toBeGreaterThan(performance.now() + 3_900);
    await bench.settle();
  });

  test('leaves an idle version to try, although the prediction says that it is too long', async () => {
    const bench = new SchedulerBench({ maxRows: 8 });
    bench.teach(100);
    bench.submit(counted(16), { call: callFor(50) });
    await turn();
    expect(bench.executor.inFlight.size).toBe(1);
    await bench.settle();
  });
});

test('any mix of large and small requests, of failures and of leaving callers settles each once, with its own rows', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = randomFrom(seed);
    const maxRows = 1 + below(4, random);
    const bench = new SchedulerBench({ maxRows, instances: 1 + below(3, random) });
    const tickets = Array.from({ length: 12 }, (_, index) => {
      const rows = 1 + below(3 * maxRows + 2, random);
      return { rows, first: 100 * index, ticket: bench.submit(counted(rows, 100 * index)) };
    });
    await turn();
    for (let [run] = bench.executor.inFlight; run !== undefined; [run] = bench.executor.inFlight) {
      const runs = [...bench.executor.inFlight];
      const next = runs[below(runs.length, random)] ?? run;
      const fate = below(10, random);
      if (fate === 0) tickets[below(12, random)]?.ticket.call.cancel('client');
      await bench.end(next, fate === 1 ? CRASHED : fate === 2 ? REFUSED : echo(next));
    }
    for (const { rows, first, ticket } of tickets) {
      expect([ticket.answer, ticket.error].filter((outcome) => outcome !== undefined)).toHaveLength(1);
      if (ticket.answer !== undefined) expect(values(ticket)).toEqual(upTo(rows, first));
    }
    const { scheduler } = bench;
    expect([scheduler.quiet, scheduler.queuedRequests, scheduler.queuedRows]).toEqual([true, 0, 0]);
    expect(scheduler.occupancy.rowMs(1_000_000) - scheduler.occupancy.rowMs(999_000)).toBe(0);
    const size = scheduler.forecast({ size: UNIT_ROW, rows: 1 });
    expect(size).toMatchObject({ waitingMs: 0, isIdle: true });
  }
});

test.each([
  { instances: 1, batches: 3 },
  { instances: 2, batches: 1.5 },
  { instances: 3, batches: 1 },
])('a forecast of three full batches is the time of $batches on $instances instances', ({ instances, batches }) => {
  const bench = new SchedulerBench({ maxRows: 4, instances });
  bench.teach(10, 1);
  const aloneMs = (rows: number): number => bench.scheduler.forecast({ size: UNIT_ROW, rows }).aloneMs;
  expect(aloneMs(4)).toBeGreaterThan(10);
  expect(aloneMs(12)).toBeCloseTo(batches * aloneMs(4), 6);
});

test('a request that fits makes no part', async () => {
  const bench = new SchedulerBench({ maxRows: 4 });
  bench.submit(counted(4));
  await turn();
  expect(bench.executor.last.batch.requests[0]?.whole).toBeUndefined();
  await bench.settle();
});
