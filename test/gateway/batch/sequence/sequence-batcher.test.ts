import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { InferTensors } from '../../../../src/gateway/admit/infer-tensors.ts';
import { NO_TERMS } from '../../../../src/gateway/admit/request-terms.ts';
import type { QueuePolicy } from '../../../../src/gateway/batch/queue-policy.ts';
import type { InferOutputs } from '../../../../src/gateway/batch/queued-request.ts';
import { Scheduler } from '../../../../src/gateway/batch/scheduler.ts';
import { SequenceBatcher } from '../../../../src/gateway/batch/sequence/sequence-batcher.ts';
import type { SequenceOptions } from '../../../../src/gateway/batch/sequence/sequence-options.ts';
import { InferError, type Reason } from '../../../../src/gateway/errors.ts';
import type { ControlSpec, StateSpec } from '../../../../src/gateway/repository/signature/sequence-signature.ts';
import { bytesOf, type TensorBytes } from '../../../../src/wire/tensor-bytes.ts';
import type { RunOutcome } from '../../../../src/worker/run-outcome.ts';
import { FakeCall } from '../../../support/fake-call.ts';
import { useFakeClock } from '../../../support/fake-clock.ts';
import { FakeExecutor, type FakeRun } from '../../../support/fake-executor.ts';
import { fp32Rows, oneLevel } from '../../../support/queued-requests.ts';

const CRASHED: RunOutcome = { kind: 'crashed', cause: 'killed by SIGSEGV' };
const REFUSED: RunOutcome = { kind: 'refused', message: 'no' };
const FAILED: RunOutcome = { kind: 'failed', error: new Error('broken') };
const IDLE_MS = 1_000;

useFakeClock();

function floats(...values: number[]): Uint8Array {
  return new Uint8Array(new Float32Array(values).buffer);
}

function floatOf(bytes: TensorBytes | undefined): number {
  return Buffer.from(bytesOf(bytes ?? new Uint8Array())).readFloatLE();
}

/** The session takes `x`, `total`, and then the controls. */
const TOTAL: StateSpec = { input: 1, outputName: 'total_out', shape: [1, 1], initial: floats(0) };

/** `sum` and `total_out` are x + total, in every row. */
function accumulate({ batch }: FakeRun): RunOutcome {
  const sums = batch.requests.map(({ tensors }) => floatOf(tensors.inputs[0]) + floatOf(tensors.inputs[1]));
  const shape = [batch.rows, 1];
  const outputs = ['sum', 'total_out'].map((name) => ({
    name,
    datatype: 'FP32' as const,
    shape,
    data: floats(...sums),
  }));
  return { kind: 'ok', outputs, inputMs: 0, computeMs: 1, outputMs: 0 };
}

interface Ticket {
  readonly call: FakeCall;
  readonly x: number;
  sum: number | undefined;
  answer: InferOutputs | undefined;
  error: InferError | undefined;
}

interface Flags {
  readonly start?: boolean;
  readonly end?: boolean;
  readonly timeoutMs?: number;
  readonly call?: FakeCall;
}

interface Settings extends Partial<SequenceOptions> {
  readonly instances?: number;
  readonly maxRows?: number;
  readonly executor?: FakeExecutor;
  /** The only policy: the model has no levels of priority. */
  readonly policy?: Partial<QueuePolicy>;
}

class Bench {
  readonly executor: FakeExecutor;
  readonly scheduler: Scheduler;
  readonly batcher: SequenceBatcher;

  constructor(settings: Settings = {}) {
    const queues = settings.queues ?? oneLevel({ maxRequests: 1_000, ...settings.policy });
    const maxQueueBytes = settings.maxQueueBytes ?? 1_000_000;
    const controls = settings.controls ?? [];
    this.executor = settings.executor ?? new FakeExecutor(settings.instances ?? 1);
    this.scheduler = new Scheduler(
      {
        model: { name: 'm', version: '1' },
        policy: { maxRows: settings.maxRows ?? 8, maxDelayMs: 0, preferredRows: [] },
        queues,
        maxQueueBytes,
        axis: 'rows',
        inputs: [],
        maxOutputBytes: 64 * 2 ** 20,
        record: () => {},
      },
      this.executor,
    );
    this.batcher = new SequenceBatcher(
      {
        model: 'm',
        inputs: 2 + controls.length,
        states: [TOTAL],
        controls,
        maxSequences: settings.maxSequences ?? 100,
        maxSequenceBytes: settings.maxSequenceBytes ?? Number.POSITIVE_INFINITY,
        slots: settings.slots ?? 100,
        idleMs: settings.idleMs ?? IDLE_MS,
        queues,
        maxQueueBytes,
      },
      this.scheduler,
    );
  }

  submit(
    id: bigint | string | undefined,
    x: number,
    flags: Flags = {},
    tensors: InferTensors = fp32Rows(1, x),
  ): Ticket {
    const call = flags.call ?? new FakeCall();
    const ticket: Ticket = { call, x, sum: undefined, answer: undefined, error: undefined };
    const sequence = id === undefined ? undefined : { id, start: flags.start === true, end: flags.end === true };
    this.batcher.enqueue(tensors, call, { ...NO_TERMS, timeoutMs: flags.timeoutMs, sequence }).then(
      (answer) => {
        ticket.answer = answer;
        ticket.sum = floatOf(answer.outputs.find(({ name }) => name === 'sum')?.data);
      },
      (error: InferError) => {
        ticket.error = error;
      },
    );
    return ticket;
  }

  async end(run: FakeRun = this.executor.last, outcome: RunOutcome = accumulate(run)): Promise<void> {
    run.end(outcome);
    await turn();
  }

  /** Ends every run, and those that follow, until nothing is in flight and the scheduler holds no request. */
  async settle(outcomeOf: (run: FakeRun) => RunOutcome = accumulate): Promise<void> {
    await turn();
    for (;;) {
      const [run] = this.executor.inFlight;
      if (run !== undefined) await this.end(run, outcomeOf(run));
      // Nothing runs, yet a request waits: the short hold of its batch.
      else if (this.scheduler.queuedRequests > 0) await pass(1);
      else return;
    }
  }

  /** The values of each run, in order. */
  get runs(): (readonly number[])[] {
    return this.executor.runs.map(({ values }) => values);
  }
}

async function turn(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

function sums(tickets: readonly Ticket[]): (number | Reason | 'open')[] {
  return tickets.map(({ sum, error }) => sum ?? error?.reason ?? 'open');
}

const START = { start: true };
const END = { end: true };

describe('the state', () => {
  test('goes from each request of a sequence to the next, which wait for each other', async () => {
    const bench = new Bench();
    const tickets = [bench.submit(5n, 1, START), bench.submit(5n, 10), bench.submit(5n, 100)];
    await turn();
    expect(bench.runs).toEqual([[1]]);
    expect(bench.batcher.queuedRequests).toBe(2);
    await bench.settle();
    expect(bench.runs).toEqual([[1], [10], [100]]);
    expect(sums(tickets)).toEqual([1, 11, 111]);
  });

  test('is separate for each sequence, though their requests are one batch', async () => {
    const bench = new Bench();
    // A number and a text of the same letters are two sequences.
    const tickets = [bench.submit(5n, 1, START), bench.submit('5', 2, START), bench.submit(-5n, 3, START)];
    await bench.settle();
    tickets.push(bench.submit('5', 20), bench.submit(-5n, 30), bench.submit(5n, 10));
    await bench.settle();
    expect(bench.runs).toEqual([
      [1, 2, 3],
      [20, 30, 10],
    ]);
    expect(sums(tickets)).toEqual([1, 2, 3, 22, 33, 11]);
  });

  test('begins again with every START', async () => {
    const bench = new Bench();
    const tickets = [bench.submit(5n, 1, START), bench.submit(5n, 2), bench.submit(5n, 3, START), bench.submit(5n, 4)];
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 3, 3, 7]);
  });

  test.each([
    ['refused', REFUSED, 'invalid_data'],
    ['failed', FAILED, 'internal'],
  ] as const)('SEQ-2: stays as it was when a run is %s, and the sequence goes on', async (_, outcome, reason) => {
    const bench = new Bench();
    const tickets = [bench.submit(5n, 1, START), bench.submit(5n, 10), bench.submit(5n, 100)];
    await turn();
    await bench.end();
    await bench.end(bench.executor.last, outcome);
    await bench.settle();
    expect(sums(tickets)).toEqual([1, reason, 101]);
  });

  test('is the same for a replay after a crash', async () => {
    const bench = new Bench();
    const first = bench.submit(5n, 1, START);
    await bench.settle();
    const second = bench.submit(5n, 10);
    await turn();
    await bench.end(bench.executor.last, CRASHED);
    expect(bench.executor.inFlight.size).toBe(1);
    await bench.settle();
    expect(sums([first, second])).toEqual([1, 11]);
    expect(bench.runs).toEqual([[1], [10], [10]]);
  });

  test('SEQ-2, SEQ-3: is untouched by a run whose caller went away', async () => {
    const bench = new Bench({ instances: 2 });
    const first = bench.submit(5n, 1, START);
    await bench.settle();
    const given = bench.submit(5n, 10);
    await turn();
    const run = bench.executor.last;
    given.call.cancel();
    const third = bench.submit(5n, 100);
    await turn();
    await bench.end();
    await bench.end(run);
    expect(sums([first, given, third])).toEqual([1, 'cancelled', 101]);
    expect(floatOf(run.batch.requests[0]?.tensors.inputs[1])).toBe(1);
  });

  test('with a size that breaks the declaration of the model fails the request, and is dropped', async () => {
    const bench = new Bench();
    const first = bench.submit(5n, 1, START);
    await turn();
    const outcome = accumulate(bench.executor.last);
    if (outcome.kind !== 'ok') throw new Error('not ok');
    const outputs = outcome.outputs.filter(({ name }) => name !== 'total_out');
    await bench.end(bench.executor.last, { ...outcome, outputs });
    expect(first.error).toMatchObject({
      reason: 'internal',
      cause: new Error("the state output 'total_out' has the shape [undefined], expected [1,1]"),
    });
    const second = bench.submit(5n, 10);
    await bench.settle();
    expect(second.sum).toBe(10);
  });

  test('the time in the queue counts from the arrival', async () => {
    const bench = new Bench();
    bench.submit(5n, 1, START);
    const second = bench.submit(5n, 2);
    await pass(40);
    await bench.settle();
    expect(second.answer?.timing.queueMs).toBe(40);
  });
});

describe('a request is refused', () => {
  const NO_START =
    "inference request for sequence 5 to model 'm' must specify the START flag on the first request of the sequence";

  test('without a correlation id', async () => {
    const ticket = new Bench().submit(undefined, 1, START);
    await turn();
    expect(ticket.error).toEqual(
      new InferError(
        'invalid_request',
        "inference request to model 'm' must specify a non-zero or non-empty correlation ID",
      ),
    );
  });

  test('with more than one row', async () => {
    const ticket = new Bench().submit(5n, 1, START, fp32Rows(2, 1));
    await turn();
    expect(ticket.error).toEqual(
      new InferError(
        'invalid_request',
        "inference request to model 'm' must specify batch-size 1 due to requirements of sequence batcher",
      ),
    );
  });

  test('without START on the first request, and after END', async () => {
    const bench = new Bench();
    const before = bench.submit(5n, 1);
    const tickets = [bench.submit(5n, 1, START), bench.submit(5n, 2, END)];
    const behind = bench.submit(5n, 3);
    await bench.settle();
    const after = bench.submit(5n, 3, END);
    await turn();
    expect(sums(tickets)).toEqual([1, 3]);
    for (const { error } of [before, behind, after]) {
      expect(error).toMatchObject({ reason: 'invalid_request', message: NO_START });
    }
  });

  test('after the idle time, which begins when nothing waits and nothing runs', async () => {
    const bench = new Bench();
    const first = bench.submit(5n, 1, START);
    await pass(5 * IDLE_MS);
    await bench.settle();
    await pass(IDLE_MS - 1);
    const second = bench.submit(5n, 10);
    await pass(5 * IDLE_MS);
    await bench.settle();
    expect(sums([first, second])).toEqual([1, 11]);
    await pass(IDLE_MS + 2);
    expect(bench.batcher.sequences).toBe(0);
    const late = bench.submit(5n, 100);
    await turn();
    expect(late.error?.message).toBe(NO_START);
  });

  test('where as many sequences live as may, until one of them ends', async () => {
    const bench = new Bench({ maxSequences: 2 });
    const tickets = [bench.submit(1n, 1, START), bench.submit(2n, 2, START)];
    await bench.settle();
    await pass(300);
    const third = bench.submit(3n, 3, START);
    await turn();
    expect(third.error).toMatchObject({
      reason: 'queue_full',
      message: "model 'm' holds 2 sequences, which is its most (max_sequences)",
    });
    expect(third.error?.pushback).toBeGreaterThanOrEqual(IDLE_MS - 300);
    // A living sequence may begin again.
    tickets.push(bench.submit(1n, 5, START), bench.submit(2n, 2, END));
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 2, 5, 4]);
    const again = bench.submit(3n, 3, START);
    await bench.settle();
    expect(again.sum).toBe(3);
  });

  test('where the states and ids of those that live take as many bytes as they may, until one of them ends', async () => {
    // A state of 4 bytes and a number of 8 each.
    const bench = new Bench({ maxSequenceBytes: 24 });
    const tickets = [bench.submit(1n, 1, START), bench.submit(2n, 2, START)];
    await bench.settle();
    const third = bench.submit(3n, 3, START);
    await turn();
    expect(third.error).toMatchObject({
      reason: 'queue_full',
      message: "model 'm' holds 2 sequences in 24 bytes, and another takes 12: at most 24 (max_sequence_bytes)",
    });
    expect(third.error?.pushback).toBeGreaterThanOrEqual(IDLE_MS - 10);
    tickets.push(bench.submit(2n, 2, END), bench.submit(1n, 1));
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 2, 4, 2]);
    await pass(IDLE_MS + 2);
    expect(bench.batcher.sequences).toBe(0);
    const again = [bench.submit(4n, 4, START), bench.submit(5n, 5, START), bench.submit(6n, 6, START)];
    await bench.settle();
    expect(sums(again)).toEqual([4, 5, 'queue_full']);
  });

  test('where its id is too long beside others; one sequence lives whatever it takes', async () => {
    const bench = new Bench({ maxSequenceBytes: 100 });
    const long = bench.submit('x'.repeat(1_000), 1, START);
    await bench.settle();
    expect(long.sum).toBe(1);
    await pass(IDLE_MS + 2);
    const short = bench.submit('short', 2, START);
    const second = bench.submit('x'.repeat(1_000), 3, START);
    await bench.settle();
    expect(sums([short, second])).toEqual([2, 'queue_full']);
  });

  test('where as many requests wait as may; its START does not count', async () => {
    const bench = new Bench({ policy: { maxRequests: 2 } });
    const tickets = [bench.submit(5n, 1, START)];
    await turn();
    for (const x of [2, 3, 4]) tickets.push(bench.submit(5n, x));
    tickets.push(bench.submit(6n, 5, START));
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 3, 6, 'queue_full', 'queue_full']);
    expect(bench.batcher.sequences).toBe(1);
  });

  test('where too many bytes wait', async () => {
    const bench = new Bench({ maxQueueBytes: 11 });
    const tickets = [1, 2, 3].map((x) => bench.submit(5n, x, { start: x === 1 }));
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 3, 'queue_full']);
    expect(tickets[2]?.error?.message).toBe(
      'Exceeds maximum queue size: 8 of 11 bytes wait, 4 more do not fit (max_queue_bytes)',
    );
  });
});

describe('slots', () => {
  test('a sequence beyond them waits until another ends, and the first to ask is the first to get one', async () => {
    const bench = new Bench({ slots: 2 });
    const tickets = [1, 2, 3, 4].map((x) => bench.submit(BigInt(x), x, START));
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 2, 'open', 'open']);
    bench.submit(2n, 20, END);
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 2, 3, 'open']);
    // An idle one loses its slot with its life.
    await pass(IDLE_MS + 2);
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 2, 3, 4]);
    expect(bench.runs).toEqual([[1, 2], [20], [3], [4]]);
  });

  test('one whose requests were all cancelled does not take one', async () => {
    const bench = new Bench({ slots: 1 });
    const tickets = [1, 2, 3].map((x) => bench.submit(BigInt(x), x, START));
    await turn();
    tickets[1]?.call.cancel();
    bench.submit(1n, 10, END);
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 'cancelled', 3]);
  });
});

describe('a request that waits in its sequence', () => {
  test.each([
    ['is cancelled', {}, 'cancelled'],
    ['runs out of its time', { timeoutMs: 20 }, 'deadline_exceeded'],
  ] as const)('%s: the sequence goes on without it', async (_, flags, reason) => {
    const bench = new Bench();
    const first = bench.submit(5n, 1, START);
    await turn();
    const second = bench.submit(5n, 10, flags);
    const third = bench.submit(5n, 100);
    if (reason === 'cancelled') second.call.cancel();
    await pass(20);
    expect(sums([first, second, third])).toEqual(['open', reason, 'open']);
    await bench.settle();
    expect(sums([first, second, third])).toEqual([1, reason, 101]);
    expect(bench.runs).toEqual([[1], [100]]);
  });

  test.each([
    ['its own', {}, { timeoutMs: 20 }],
    ['the default', { policy: { defaultTimeoutMs: 20 } }, {}],
  ])('has only the rest of %s time when it is handed on', async (_, settings, flags) => {
    const bench = new Bench(settings);
    const first = bench.submit(5n, 1, START);
    await turn();
    const second = bench.submit(5n, 10, flags);
    await pass(19);
    await bench.end();
    expect(sums([first, second])).toEqual([1, 'open']);
    expect(bench.runs).toEqual([[1], [10]]);
    await pass(2);
    expect(sums([first, second])).toEqual([1, 'deadline_exceeded']);
  });

  test('goes behind requests of other sequences where the policy delays, and is not given up', async () => {
    const bench = new Bench({ policy: { defaultTimeoutMs: 20, timeoutAction: 'delay' }, maxRows: 1 });
    const first = bench.submit(5n, 1, START);
    await turn();
    const second = bench.submit(5n, 10);
    await pass(30);
    const other = bench.submit(6n, 7, START);
    await bench.end();
    await pass(2);
    await bench.settle();
    expect(sums([first, second, other])).toEqual([1, 11, 7]);
    expect(bench.runs).toEqual([[1], [7], [10]]);
  });

  test('SEQ-4: its END ends the sequence', async () => {
    const bench = new Bench();
    const first = bench.submit(5n, 1, START);
    const last = bench.submit(5n, 10, END);
    last.call.cancel();
    const behind = bench.submit(5n, 100);
    await bench.settle();
    expect(sums([first, last, behind])).toEqual([1, 'cancelled', 'invalid_request']);
    expect(bench.batcher.sequences).toBe(0);
  });

  test.each(['now', 'later'])('SEQ-4: its START holds for the next, which comes %s', async (when) => {
    const bench = new Bench();
    const first = bench.submit(5n, 1, START);
    const restart = bench.submit(5n, 10, START);
    const tickets = [first, restart];
    if (when === 'now') tickets.push(bench.submit(5n, 100));
    restart.call.cancel();
    if (when === 'later') {
      await bench.settle();
      tickets.push(bench.submit(5n, 100));
    }
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 'cancelled', 100]);
  });

  test('does not wait if its caller is already gone', async () => {
    const bench = new Bench();
    bench.submit(5n, 1, START);
    const call = new FakeCall();
    call.cancelled = true;
    const gone = bench.submit(5n, 10, { call });
    await turn();
    expect(gone.error?.reason).toBe('cancelled');
  });
});

describe('control inputs', () => {
  const flag = (input: number, kind: 'start' | 'end' | 'ready'): ControlSpec => ({
    input,
    name: kind,
    shape: [1, 1],
    control: { kind, whenFalse: floats(0), whenTrue: floats(1) },
  });
  const id = (datatype: 'UINT64' | 'INT64' | 'UINT32' | 'INT32' | 'BYTES'): ControlSpec => ({
    input: 2,
    name: 'id',
    shape: [1],
    control: { kind: 'correlation-id', datatype },
  });

  test('carry start, end and ready of each row', async () => {
    const controls = [flag(2, 'start'), flag(3, 'end'), flag(4, 'ready')];
    const bench = new Bench({ controls });
    for (const [x, flags] of [
      [1, START],
      [2, {}],
      [3, START],
      [4, END],
      [5, { start: true, end: true }],
    ] as const) {
      bench.submit(7n, x, flags);
    }
    const seen: number[][] = [];
    await bench.settle((run) => {
      for (const { tensors } of run.batch.requests) {
        seen.push([0, 2, 3, 4].map((input) => floatOf(tensors.inputs[input])));
        expect(tensors.shapes).toEqual(Array(5).fill([1, 1]));
      }
      return accumulate(run);
    });
    expect(seen.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0))).toEqual([
      [1, 1, 0, 1],
      [2, 0, 0, 1],
      [3, 1, 0, 1],
      [4, 0, 1, 1],
      [5, 1, 1, 1],
    ]);
  });

  test('START is sent again when the first request was not answered', async () => {
    const bench = new Bench({ controls: [flag(2, 'start')] });
    const starts: number[] = [];
    for (const x of [1, 2, 3]) bench.submit(7n, x, { start: x === 1 });
    await bench.settle((run) => {
      starts.push(floatOf(run.batch.requests[0]?.tensors.inputs[2]));
      return run.values[0] === 1 ? REFUSED : accumulate(run);
    });
    expect(starts).toEqual([1, 1, 0]);
  });

  test.each([
    ['UINT64', 5n, '0500000000000000'],
    ['UINT64', -1n, 'ffffffffffffffff'],
    ['INT64', -2n, 'feffffffffffffff'],
    ['UINT32', 4_294_967_295n, 'ffffffff'],
    ['INT32', -1n, 'ffffffff'],
    ['BYTES', 'caller', '0600000063616c6c6572'],
    ['BYTES', 12n, '020000003132'],
  ] as const)('carry the correlation id as %s: %s', async (datatype, value, hex) => {
    const bench = new Bench({ controls: [id(datatype)] });
    bench.submit(value, 1, START);
    await turn();
    const { inputs, shapes } = bench.executor.last.batch.requests[0]?.tensors ?? {};
    expect(Buffer.from(bytesOf(inputs?.[2] ?? new Uint8Array())).toString('hex')).toBe(hex);
    expect(shapes?.[2]).toEqual([1]);
    await bench.settle();
  });

  test.each([
    ['UINT32', -1n, '-1'],
    ['UINT32', 2n ** 32n, '4294967296'],
    ['INT32', 2n ** 31n, '2147483648'],
    ['INT64', 'caller', "'caller'"],
    ['BYTES', 'a\0b', "'a\0b'"],
  ] as const)('an id that %s cannot hold is refused: %s', async (datatype, value, shown) => {
    const bench = new Bench({ controls: [id(datatype)] });
    const ticket = bench.submit(value, 1, START);
    await turn();
    expect(ticket.error).toMatchObject({
      reason: 'invalid_request',
      message: `the correlation ID ${shown} does not fit the model's input 'id' of datatype ${datatype}`,
    });
    expect(bench.batcher.sequences).toBe(0);
  });
});

describe('the end', () => {
  test('drained() waits for what waits and runs, and not for idle sequences', async () => {
    const bench = new Bench();
    bench.submit(5n, 1, START);
    bench.submit(5n, 2);
    let drained = false;
    void bench.batcher.drained().then(() => {
      drained = true;
    });
    await turn();
    await bench.end();
    expect(drained).toBe(false);
    await bench.end();
    expect(drained).toBe(true);
    expect(bench.batcher.sequences).toBe(1);
    await bench.batcher.drained();
  });

  test('abandon() fails what waits, and ends all sequences', async () => {
    const bench = new Bench({ slots: 2 });
    const tickets = [1, 2, 3].map((x) => bench.submit(BigInt(x), x, START));
    tickets.push(bench.submit(1n, 10), bench.submit(3n, 30));
    await turn();
    bench.batcher.abandon(new InferError('runner_lost', 'gone'));
    await bench.settle();
    expect(sums(tickets)).toEqual([1, 2, 'runner_lost', 'runner_lost', 'runner_lost']);
    expect(bench.batcher.sequences).toBe(0);
    const after = bench.submit(1n, 100);
    await turn();
    expect(after.error?.reason).toBe('invalid_request');
    await bench.batcher.drained();
    expect(bench.batcher.queuedRequests).toBe(0);
  });
});

/** Notes of each row when it is sent for the first time. */
class WatchingExecutor extends FakeExecutor {
  onRow: (x: number) => void = () => {};

  override run(...args: Parameters<FakeExecutor['run']>): Promise<RunOutcome> {
    const outcome = super.run(...args);
    for (const x of this.last.values) this.onRow(x);
    return outcome;
  }
}

test('whatever happens in whatever order, each sequence is answered as in a run of its own', async () => {
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('submit' as const),
        id: fc.constantFrom<(bigint | string)[]>(1n, 2n, 3n, '1', 'x'),
        start: fc.constantFrom(true, false, false, false),
        end: fc.constantFrom(true, false, false, false, false, false),
        timeoutMs: fc.constantFrom(undefined, undefined, 3, 30),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), index: fc.nat(40) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('end' as const),
        index: fc.nat(2),
        outcome: fc.constantFrom('ok', 'ok', 'ok', 'ok', 'refused', 'crashed', 'failed'),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(10) }) },
  );
  const history = fc.record({
    steps: fc.array(step, { maxLength: 100, size: 'max' }),
    instances: fc.integer({ min: 1, max: 3 }),
    slots: fc.integer({ min: 1, max: 6 }),
  });
  const outcomes: Readonly<Record<string, (run: FakeRun) => RunOutcome>> = {
    ok: accumulate,
    refused: () => REFUSED,
    crashed: () => CRASHED,
    failed: () => FAILED,
  };
  let mixed = 0;
  let continued = 0;
  await fc.assert(
    fc.asyncProperty(history, async ({ steps, instances, slots }) => {
      const executor = new WatchingExecutor(instances);
      const bench = new Bench({ executor, slots, maxRows: 4, idleMs: 1_000_000 });
      /** Sequences, each with its accepted requests in order of arrival; the reference. */
      const open = new Map<bigint | string, (Ticket & { restarts: boolean })[]>();
      const all: (Ticket & { restarts: boolean })[][] = [];
      const tickets: Ticket[] = [];
      const refused: Ticket[] = [];
      const home = new Map<number, { readonly sequence: readonly Ticket[]; readonly index: number }>();
      executor.onRow = (x) => {
        const { sequence, index } = home.get(x) ?? { sequence: [], index: 0 };
        // SEQ-1: whatever came before it in its sequence is settled.
        expect(sums(sequence.slice(0, index))).not.toContain('open');
      };
      for (const one of steps) {
        switch (one.do) {
          case 'submit': {
            const { id, start, end, timeoutMs } = one;
            const known = open.get(id);
            const accepted = known !== undefined || start;
            const sequence = known ?? [];
            const x = tickets.length + 1;
            if (accepted) home.set(x, { sequence, index: sequence.length });
            const ticket = bench.submit(id, x, { start, end, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
            tickets.push(ticket);
            if (!accepted) {
              refused.push(ticket);
              break;
            }
            sequence.push(Object.assign(ticket, { restarts: start }));
            if (known === undefined) all.push(sequence);
            if (end) open.delete(id);
            else open.set(id, sequence);
            break;
          }
          case 'cancel':
            tickets[one.index]?.call.cancel();
            break;
          case 'end': {
            const run = [...executor.inFlight][one.index];
            if (run !== undefined) await bench.end(run, (outcomes[one.outcome] ?? accumulate)(run));
            break;
          }
          case 'pass':
            await pass(one.ms);
            break;
        }
      }
      // What still waits for a slot gets one when the others end.
      for (let round = 0; round <= all.length; round++) {
        await bench.settle();
        for (const id of open.keys()) bench.submit(id, 0, END);
        open.clear();
        // A callback of a fake timer comes a millisecond later.
        await pass(2);
      }
      await bench.settle();
      expect(sums(tickets)).not.toContain('open');
      for (const { error } of refused) expect(error?.reason).toBe('invalid_request');
      for (const sequence of all) {
        let total = 0;
        for (const { restarts, x, sum } of sequence) {
          if (restarts) total = 0;
          if (sum === undefined) continue;
          total += x;
          expect(sum).toBe(total);
          if (total > x) continued++;
        }
      }
      for (const { batch } of executor.runs) {
        expect(batch.rows).toBeLessThanOrEqual(4);
        if (batch.rows > 1) mixed++;
      }
      expect(bench.batcher.queuedRequests).toBe(0);
      expect(bench.batcher.sequences).toBe(0);
      await bench.batcher.drained();
    }),
    { numRuns: 300 },
  );
  expect(mixed).toBeGreaterThan(100);
  expect(continued).toBeGreaterThan(100);
});
