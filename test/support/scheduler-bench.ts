/** A Scheduler over instances that the test ends by hand, under vitest's fake timers. */

import { vi } from 'vitest';
import { type InferTensors, UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import { NO_TERMS, type RequestTerms } from '../../src/gateway/admit/request-terms.ts';
import type { Batch } from '../../src/gateway/batch/batch.ts';
import type { QueuePolicy } from '../../src/gateway/batch/queue-policy.ts';
import type { InferOutputs } from '../../src/gateway/batch/queued-request.ts';
import { Scheduler, type SchedulerOptions } from '../../src/gateway/batch/scheduler.ts';
import type { InferError, Reason } from '../../src/gateway/errors.ts';
import type { RunOutcome } from '../../src/worker/run-outcome.ts';
import { FakeCall } from './fake-call.ts';
import { echo, FakeExecutor, type FakeRun } from './fake-executor.ts';
import { fp32Rows, oneLevel } from './queued-requests.ts';

/** A request that was handed in, and what became of it. */
export interface Ticket {
  readonly call: FakeCall;
  readonly tensors: InferTensors;
  answer: InferOutputs | undefined;
  error: InferError | undefined;
}

export type BenchSettings = Partial<Omit<SchedulerOptions, 'policy'>> &
  Partial<SchedulerOptions['policy']> & {
    readonly instances?: number;
    /** The only policy: the model has no levels of priority. */
    readonly policy?: Partial<QueuePolicy>;
  };

/** A scheduler over instances that the test holds in its hand. */
export class SchedulerBench {
  readonly executor: FakeExecutor;
  readonly scheduler: Scheduler;
  readonly recorded: { readonly batch: Batch; readonly outcome: RunOutcome }[] = [];

  constructor(settings: BenchSettings = {}) {
    this.executor = new FakeExecutor(settings.instances ?? 1);
    this.scheduler = new Scheduler(
      {
        model: { name: 'm', version: '1' },
        policy: {
          maxRows: settings.maxRows ?? 8,
          maxDelayMs: settings.maxDelayMs ?? 0,
          preferredRows: settings.preferredRows ?? [],
        },
        queues: settings.queues ?? oneLevel({ maxRequests: 1_000, ...settings.policy }),
        maxQueueBytes: settings.maxQueueBytes ?? 1_000_000,
        axis: 'rows',
        inputs: settings.inputs ?? [{ name: 'in', datatype: 'FP32', shape: [-1, 1] }],
        maxOutputBytes: settings.maxOutputBytes ?? 64 * 2 ** 20,
        objectiveMs: settings.objectiveMs,
        tenantOf: settings.tenantOf,
        record: (batch, outcome) => this.recorded.push({ batch, outcome }),
      },
      this.executor,
    );
  }

  submit(
    tensors: InferTensors,
    options: { call?: FakeCall; timeoutMs?: number | undefined; priority?: number; terms?: Partial<RequestTerms> } = {},
  ): Ticket {
    const ticket: Ticket = { call: options.call ?? new FakeCall(), tensors, answer: undefined, error: undefined };
    this.scheduler
      .enqueue(tensors, ticket.call, {
        ...NO_TERMS,
        timeoutMs: options.timeoutMs,
        priority: options.priority ?? 0,
        ...options.terms,
      })
      .then(
        (answer) => {
          ticket.answer = answer;
        },
        (error: InferError) => {
          ticket.error = error;
        },
      );
    return ticket;
  }

  /**
   * Requests of one row with the values from 0 on, waiting behind a busy instance, and that instance's run.
   * @param ms the deadline that their callers name
   */
  async submitBehind(count: number, ms?: number): Promise<{ readonly blocker: FakeRun; readonly tickets: Ticket[] }> {
    this.submit(fp32Rows(1, -1));
    await turn();
    const blocker = this.executor.last;
    const tickets = Array.from({ length: count }, (_, value) =>
      this.submit(fp32Rows(1, value), ms === undefined ? {} : { call: callFor(ms) }),
    );
    await turn();
    return { blocker, tickets };
  }

  /** Ends a run, and lets follow what follows. */
  async end(run: FakeRun, outcome: RunOutcome = echo(run)): Promise<void> {
    run.end(outcome);
    await turn();
  }

  /** Ends every run by `outcomeOf`, and those that follow, until nothing is in flight. */
  async settle(outcomeOf: (run: FakeRun) => RunOutcome = echo): Promise<void> {
    for (let [run] = this.executor.inFlight; run !== undefined; [run] = this.executor.inFlight) {
      await this.end(run, outcomeOf(run));
    }
  }

  /** Teaches that every batch takes `fixedMs` and `perRowMs` for each row. */
  teach(fixedMs: number, perRowMs = 0, size = UNIT_ROW): void {
    for (let repeat = 0; repeat < 20; repeat++) {
      for (const rows of [1, 2, 4, 8])
        this.scheduler.costs.observe(size, rows, fixedMs + rows * perRowMs, performance.now(), 0);
    }
  }
}

/** Lets everything happen that happens now. */
export async function turn(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** A call that ends in so many milliseconds from now. */
export function callFor(ms: number, wayBackMs = 0): FakeCall {
  return Object.assign(new FakeCall(performance.now() + ms), { wayBackMs });
}

export function values(ticket: Ticket): number[] {
  const data = ticket.answer?.outputs[0]?.data ?? new Uint8Array(0);
  return [...new Float32Array(Uint8Array.from(data).buffer)];
}

export function reasons(tickets: readonly Ticket[]): (Reason | 'answered' | 'open')[] {
  return tickets.map(({ answer, error }) => error?.reason ?? (answer === undefined ? 'open' : 'answered'));
}
