import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { InferTensors } from '../../../../src/gateway/admit/infer-tensors.ts';
import { NO_TERMS, type RequestTerms } from '../../../../src/gateway/admit/request-terms.ts';
import { ResponseCache } from '../../../../src/gateway/batch/cache/response-cache.ts';
import { QueuePolicies } from '../../../../src/gateway/batch/queue-policy.ts';
import type { CacheLookup, InferOutputs } from '../../../../src/gateway/batch/queued-request.ts';
import { Scheduler } from '../../../../src/gateway/batch/scheduler.ts';
import { InferError, type Reason } from '../../../../src/gateway/errors.ts';
import { diagnostics } from '../../../../src/gateway/ops/diagnostics.ts';
import { bytesOf } from '../../../../src/wire/tensor-bytes.ts';
import type { RunOutcome } from '../../../../src/worker/run-outcome.ts';
import { FakeCall } from '../../../support/fake-call.ts';
import { useFakeClock } from '../../../support/fake-clock.ts';
import { echo, FakeExecutor } from '../../../support/fake-executor.ts';
import { fp32Rows, oneLevel, queuePolicy } from '../../../support/queued-requests.ts';

const NONE = new Uint8Array(0);
const FAILURES: readonly RunOutcome[] = [
  { kind: 'refused', message: 'no' },
  { kind: 'outputs_too_large', message: 'too large' },
  { kind: 'out_of_memory', by: 'batch' },
  { kind: 'no_room', bytes: 9, message: 'too large', isLasting: true },
  { kind: 'failed', error: new Error('a fault') },
];

useFakeClock();

interface Ticket {
  readonly call: FakeCall;
  readonly tensors: InferTensors;
  answer: InferOutputs | undefined;
  error: InferError | undefined;
}

/** A cache before a queue before instances that the test holds in its hand. */
class Bench {
  readonly executor = new FakeExecutor(1);
  readonly scheduler: Scheduler;
  readonly cache: ResponseCache;

  constructor(options: { maxBytes?: number; queues?: QueuePolicies } = {}) {
    const { maxBytes = 1_000_000, queues = oneLevel() } = options;
    this.scheduler = new Scheduler(
      {
        model: { name: 'm', version: '1' },
        policy: { maxRows: 4, maxDelayMs: 0, preferredRows: [] },
        queues,
        maxQueueBytes: 1_000_000,
        axis: 'rows',
        inputs: [],
        maxOutputBytes: 64 * 2 ** 20,
        record: () => {},
      },
      this.executor,
    );
    this.cache = new ResponseCache({ model: 'm', maxBytes, queues }, this.scheduler);
  }

  submit(tensors: InferTensors, terms: Partial<RequestTerms> = {}, call = new FakeCall()): Ticket {
    const ticket: Ticket = { call, tensors, answer: undefined, error: undefined };
    this.cache.enqueue(tensors, call, { ...NO_TERMS, ...terms }).then(
      (answer) => {
        ticket.answer = answer;
      },
      (error: InferError) => {
        ticket.error = error;
      },
    );
    return ticket;
  }

  async end(outcome: RunOutcome = echo(this.executor.last)): Promise<void> {
    this.executor.last.end(outcome);
    await turn();
  }

  /** Asks, and answers what has to run for it. */
  async ask(tensors: InferTensors): Promise<Ticket> {
    const ticket = this.submit(tensors);
    await turn();
    if (this.executor.inFlight.size > 0) await this.end();
    return ticket;
  }

  /** A run that keeps the instance busy. */
  async occupy(): Promise<void> {
    this.submit(fp32Rows(1, -1));
    await turn();
  }
}

async function turn(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await turn();
}

function callFor(ms: number): FakeCall {
  return new FakeCall(performance.now() + ms);
}

function valuesOf({ answer }: Ticket): number[] {
  const data = answer?.outputs[0]?.data ?? new Uint8Array(0);
  return [...new Float32Array(Uint8Array.from(data).buffer)];
}

function states(tickets: readonly Ticket[]): (Reason | CacheLookup['outcome'] | 'bypassed' | 'open')[] {
  return tickets.map(
    ({ answer, error }) =>
      error?.reason ?? (answer === undefined ? 'open' : (answer.timing.cache?.outcome ?? 'bypassed')),
  );
}

describe('an answer that is there', () => {
  test('is given again, the same to the last bit, and nothing runs', async () => {
    const bench = new Bench();
    const first = await bench.ask(fp32Rows(2, Math.PI));
    const again = await bench.ask(fp32Rows(2, Math.PI));
    expect(states([first, again])).toEqual(['miss', 'hit']);
    expect(again.answer?.outputs).toEqual(first.answer?.outputs);
    expect(again.answer?.timing).toMatchObject({ queueMs: 0, computeMs: 0, batchRows: 0 });
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('is given while the instance is busy', async () => {
    const bench = new Bench();
    await bench.ask(fp32Rows(1, 7));
    await bench.occupy();
    const hit = bench.submit(fp32Rows(1, 7));
    await turn();
    expect([states([hit]), valuesOf(hit)]).toEqual([['hit'], [7]]);
  });

  const asked: InferTensors = fp32Rows(2, 1);
  test.each<[string, Partial<InferTensors>]>([
    ['other values', { inputs: fp32Rows(2, 2).inputs }],
    ['other rows', { rows: 1, shapes: [[1, 1]], inputs: fp32Rows(1, 1).inputs }],
    ['another shape of the same bytes', { shapes: [[1, 2]] }],
    ['another number of inputs', { inputs: [...asked.inputs, new Uint8Array(0)], shapes: [[2, 1], [0]] }],
  ])('is not given for %s, even where the hashes are equal', async (_, other) => {
    vi.doMock('node:zlib', async (original) => ({ ...(await original<object>()), crc32: () => 0 }));
    vi.resetModules();
    const { ResponseStore, hashOf } = await import('../../../../src/gateway/batch/cache/response-store.ts');
    vi.doUnmock('node:zlib');
    const different = { ...asked, ...other };
    expect(hashOf(asked)).toBe(hashOf(different));
    const store = new ResponseStore(1_000_000);
    store.keep(hashOf(asked), asked, []);
    expect(store.find(hashOf(different), different)).toBeUndefined();
    expect(store.find(hashOf(asked), asked)).toEqual([]);
    store.keep(hashOf(different), different, []);
    expect(store.find(hashOf(asked), asked)).toBeUndefined();
  });

  test('answers -0 apart from 0, and NaN as it came', async () => {
    const bench = new Bench();
    const asked = [0, -0, Number.NaN, Number.NaN];
    const tickets = [];
    for (const value of asked) tickets.push(await bench.ask(fp32Rows(1, value)));
    expect(states(tickets)).toEqual(['miss', 'miss', 'miss', 'hit']);
    expect(tickets.flatMap(valuesOf)).toEqual(asked);
  });

  test('does not keep alive the batch that it came from, or the message', async () => {
    const bench = new Bench();
    const message = new Uint8Array(4_096);
    const tensors = { ...fp32Rows(1, 0), inputs: [message.subarray(100, 104)] };
    bench.submit(fp32Rows(3, 5));
    bench.submit(tensors);
    await turn();
    await bench.end();
    const hit = await bench.ask(tensors);
    expect(states([hit])).toEqual(['hit']);
    expect(hit.answer?.outputs[0]?.data.buffer.byteLength).toBe(4);
    expect(bench.cache.bytes).toBe(2 * 1_024 + (12 + 12) + (4 + 4));
  });
});

describe('kept answers', () => {
  test.each(FAILURES)('is no failure: $kind', async (outcome) => {
    const bench = new Bench();
    const failed = bench.submit(fp32Rows(1, 3));
    await turn();
    await bench.end(outcome);
    expect(failed.error).toBeInstanceOf(InferError);
    const again = await bench.ask(fp32Rows(1, 3));
    expect(states([again])).toEqual(['miss']);
    expect(bench.executor.runs).toHaveLength(2);
  });

  test('is no answer that no one waited for', async () => {
    const bench = new Bench();
    const gone = bench.submit(fp32Rows(1, 3));
    await turn();
    gone.call.cancel();
    await bench.end();
    expect(states([gone])).toEqual(['cancelled']);
    expect(bench.cache.bytes).toBe(0);
  });

  test('are the most recently used ones, as many as fit', async () => {
    const bench = new Bench({ maxBytes: 3 * (1_024 + 8) });
    for (const value of [1, 2, 3]) await bench.ask(fp32Rows(1, value));
    await bench.ask(fp32Rows(1, 1));
    await bench.ask(fp32Rows(1, 4));
    const found = [];
    for (const value of [1, 3, 4]) found.push(await bench.ask(fp32Rows(1, value)));
    expect(states(found)).toEqual(['hit', 'hit', 'hit']);
    expect(states([await bench.ask(fp32Rows(1, 2))])).toEqual(['miss']);
    expect(bench.cache.bytes).toBe(3 * (1_024 + 8));
  });

  test('is nothing that is larger than all the room', async () => {
    const bench = new Bench({ maxBytes: 1_040 });
    await bench.ask(fp32Rows(1, 1));
    await bench.ask(fp32Rows(3, 2));
    expect(states([await bench.ask(fp32Rows(1, 1))])).toEqual(['hit']);
    expect(states([await bench.ask(fp32Rows(3, 2))])).toEqual(['miss']);
  });

  test('stay within their bound for any requests, and every answer belongs to its request', async () => {
    const request = fc.record({ rows: fc.integer({ min: 1, max: 4 }), value: fc.integer({ min: 0, max: 5 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 40 }), async (requests) => {
        const bench = new Bench({ maxBytes: 5_000 });
        for (const { rows, value } of requests) {
          expect(valuesOf(await bench.ask(fp32Rows(rows, value)))).toEqual(Array(rows).fill(value));
          expect(bench.cache.bytes).toBeLessThanOrEqual(5_000);
        }
      }),
    );
  });
});

describe('equal requests that are under way', () => {
  test('share one run, for which one request is charged', async () => {
    const bench = new Bench();
    const tickets = [1, 2, 3].map(() => bench.submit(fp32Rows(2, 8)));
    await turn();
    await pass(30);
    tickets.push(bench.submit(fp32Rows(2, 8)));
    await pass(10);
    await bench.end();
    expect(bench.executor.runs.map(({ batch }) => batch.rows)).toEqual([2]);
    expect(states(tickets)).toEqual(['miss', 'joined', 'joined', 'joined']);
    expect(tickets.map(valuesOf)).toEqual(Array(4).fill([8, 8]));
    expect(tickets[3]?.answer?.timing).toMatchObject({ queueMs: 10, computeMs: 0, batchRows: 0 });
    await bench.cache.drained();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('do not share what differs', async () => {
    const bench = new Bench();
    const tickets = [1, 2].map((value) => bench.submit(fp32Rows(1, value)));
    await turn();
    await bench.end();
    expect(tickets.map(valuesOf)).toEqual([[1], [2]]);
    expect(bench.executor.runs.map(({ batch }) => batch.rows)).toEqual([2]);
  });

  test.each(['first', 'second'] as const)('when the %s is cancelled the other is answered', async (which) => {
    const bench = new Bench();
    const tickets = [bench.submit(fp32Rows(1, 8)), bench.submit(fp32Rows(1, 8))];
    await turn();
    const [gone, other] = which === 'first' ? tickets : tickets.toReversed();
    gone?.call.cancel();
    await turn();
    expect(states([gone, other] as Ticket[])).toEqual(['cancelled', 'open']);
    await bench.end();
    expect(states([gone, other] as Ticket[])).toEqual(['cancelled', 'miss']);
  });

  test('when all are cancelled nothing runs', async () => {
    const bench = new Bench();
    await bench.occupy();
    const tickets = [bench.submit(fp32Rows(1, 8)), bench.submit(fp32Rows(1, 8))];
    for (const { call } of tickets) call.cancel();
    expect(bench.cache.queuedRequests).toBe(0);
    await bench.end();
    expect(states(tickets)).toEqual(['cancelled', 'cancelled']);
    expect(bench.executor.runs).toHaveLength(1);
    await bench.cache.drained();
    // And the next request starts a new run.
    expect(states([await bench.ask(fp32Rows(1, 8))])).toEqual(['miss']);
  });

  test('share its failure', async () => {
    const bench = new Bench();
    const tickets = [bench.submit(fp32Rows(1, 8)), bench.submit(fp32Rows(1, 8))];
    await turn();
    await bench.end(FAILURES[0]);
    expect(states(tickets)).toEqual(['invalid_data', 'invalid_data']);
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('each have their own time: one that has more is answered where the other had too little', async () => {
    const bench = new Bench();
    await bench.occupy();
    const hasty = bench.submit(fp32Rows(1, 8), {}, callFor(50));
    const patient = bench.submit(fp32Rows(1, 8), {}, callFor(10_000));
    await pass(50);
    hasty.call.cancel('deadline');
    await turn();
    expect(states([hasty, patient])).toEqual(['deadline_exceeded', 'open']);
    await bench.end();
    // An immediate that is set in a tick of the fake clock comes in the next.
    await pass(1);
    await bench.end();
    expect(states([hasty, patient])).toEqual(['deadline_exceeded', 'miss']);
    expect(valuesOf(patient)).toEqual([8]);
  });

  test("a request's own time-out is kept to the moment, also by one that joined", async () => {
    const bench = new Bench({ queues: oneLevel({ defaultTimeoutMs: 40 }) });
    await bench.occupy();
    const first = bench.submit(fp32Rows(1, 8));
    await pass(10);
    const second = bench.submit(fp32Rows(1, 8));
    await pass(29);
    expect(states([first, second])).toEqual(['open', 'open']);
    await pass(1);
    expect(states([first, second])).toEqual(['deadline_exceeded', 'open']);
    await pass(9);
    expect(states([first, second])).toEqual(['deadline_exceeded', 'open']);
    await pass(1);
    expect(states([first, second])).toEqual(['deadline_exceeded', 'deadline_exceeded']);
    expect(bench.cache.queuedRequests).toBe(0);
  });

  test('on other terms run apart: no one waits at the level of a less urgent one', async () => {
    const queues = new QueuePolicies([queuePolicy(), queuePolicy()], 2);
    const bench = new Bench({ queues });
    await bench.occupy();
    const ordinary = bench.submit(fp32Rows(4, 8));
    const urgent = bench.submit(fp32Rows(4, 8), { priority: 1 });
    await turn();
    await bench.end();
    await bench.end();
    expect(states([ordinary, urgent])).toEqual(['open', 'miss']);
    await bench.end();
    expect(states([ordinary, urgent])).toEqual(['miss', 'miss']);
    await bench.cache.drained();
  });

  test('all fail when what waits is given up', async () => {
    const bench = new Bench();
    await bench.occupy();
    const tickets = [bench.submit(fp32Rows(1, 8)), bench.submit(fp32Rows(1, 8))];
    await turn();
    bench.cache.abandon(new InferError('draining', 'the server ends'));
    await turn();
    expect(states(tickets)).toEqual(['draining', 'draining']);
    expect(bench.executor.runs).toHaveLength(1);
  });

  test('are reported as the call for which their batch runs', async () => {
    const published: unknown[] = [];
    using _ = {
      [Symbol.dispose]: diagnostics.batchEnded.subscribe(({ calls }) => published.push(calls.map(({ step }) => step))),
    };
    const bench = new Bench();
    const ticket = await bench.ask(fp32Rows(1, 8));
    expect(published).toEqual([[{ of: ticket.call, ensemble: 'm' }]]);
  });
});

test('a request of a sequence is neither looked up nor kept', async () => {
  const bench = new Bench();
  await bench.ask(fp32Rows(1, 8));
  const sequence = { id: 1n, start: true, end: false };
  const tickets = [bench.submit(fp32Rows(1, 8), { sequence }), bench.submit(fp32Rows(1, 8), { sequence })];
  await turn();
  await bench.end();
  expect(states(tickets)).toEqual(['bypassed', 'bypassed']);
  expect(bench.executor.runs.map(({ batch }) => batch.rows)).toEqual([1, 2]);
});

test('whatever is asked, cancelled, timed and failed: each request settles exactly once, and nothing is left', async () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('submit' as const), value: fc.nat(2), ms: fc.nat(80) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), index: fc.nat(20) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('end' as const), outcome: fc.nat(6) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(50) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const bench = new Bench({ queues: oneLevel({ defaultTimeoutMs: 60 }) });
      const tickets: Ticket[] = [];
      for (const one of steps) {
        if (one.do === 'submit') tickets.push(bench.submit(fp32Rows(1, one.value), {}, callFor(one.ms + 20)));
        else if (one.do === 'pass') await pass(one.ms);
        else if (one.do === 'cancel') tickets[one.index]?.call.cancel();
        else if (bench.executor.inFlight.size > 0) await bench.end(FAILURES[one.outcome]);
        // What a transport does.
        for (const { call } of tickets) if (call.deadline <= performance.now()) call.cancel('deadline');
        await turn();
      }
      while (bench.executor.inFlight.size > 0) await bench.end();
      await pass(100);
      while (bench.executor.inFlight.size > 0) await bench.end();
      expect(states(tickets)).not.toContain('open');
      for (const ticket of tickets) {
        const { answer, tensors } = ticket;
        if (answer !== undefined)
          expect(Buffer.compare(answer.outputs[0]?.data ?? NONE, bytesOf(tensors.inputs[0] ?? NONE))).toBe(0);
        expect(ticket.answer === undefined).toBe(ticket.error !== undefined);
        expect(ticket.call.onCancel).toBeUndefined();
      }
      await bench.cache.drained();
      expect(bench.cache.queuedRequests).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
    }),
    { numRuns: 200 },
  );
});
