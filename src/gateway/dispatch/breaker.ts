/**
 * The circuit breaker of one model version, round the execution of its batches.
 *
 * It opens on crashes, hangs and internal errors, and never on what a caller caused: refused values, and runs that only take
 * long, are a success here.
 */

import CircuitBreaker from 'opossum';
import type { RunOutcome } from '../../worker/run-outcome.ts';
import type { Batch } from '../batch/batch.ts';
import type { Executor, RunDemand } from '../batch/executor.ts';
import { type BreakerState, diagnostics, type ModelRef } from '../ops/diagnostics.ts';
import { describeOutage, type Outage } from './outage.ts';

/** How long an open breaker refuses before it lets one batch try, in milliseconds. */
const RESET_MS = 5_000;
/** Batches in the window before a share of failures means anything, and the share that opens it. */
const VOLUME = 5;
const ERROR_PERCENT = 50;
const WINDOW_MS = 10_000;

export interface Instances {
  readonly size: number;
  /** Why none of them lives; `undefined` where one does. */
  readonly outage: Outage | undefined;
  /** How long the last load took, in milliseconds. */
  readonly loadMs: number;
  idle(): number;
  run(batch: Batch, demand: RunDemand): Promise<RunOutcome>;
}

/** Carries a failed outcome through opossum, which counts rejections. */
class FailedRun extends Error {
  readonly outcome: RunOutcome;

  constructor(outcome: RunOutcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

export class Breaker implements Executor {
  readonly #instances: Instances;
  readonly #circuit: CircuitBreaker<[Batch, RunDemand], RunOutcome>;
  #openedAt = 0;
  #trying = false;

  constructor(model: ModelRef, instances: Instances) {
    this.#instances = instances;
    this.#circuit = new CircuitBreaker<[Batch, RunDemand], RunOutcome>(
      async (batch, demand) => {
        const outcome = await instances.run(batch, demand);
        if (isFailure(outcome)) throw new FailedRun(outcome);
        return outcome;
      },
      {
        name: `${model.name}:${model.version}`,
        // Limits belong to the runs; opossum's time-out would not stop one.
        timeout: false,
        resetTimeout: RESET_MS,
        volumeThreshold: VOLUME,
        errorThresholdPercentage: ERROR_PERCENT,
        rollingCountTimeout: WINDOW_MS,
        // Percentiles cost milliseconds a failure when much was called.
        rollingPercentilesEnabled: false,
        enableSnapshots: false,
      },
    );
    const changed = (state: BreakerState) => (): void => {
      if (state === 'open') this.#openedAt = performance.now();
      diagnostics.breakerChanged.publish({ model, state });
    };
    this.#circuit.on('open', changed('open'));
    this.#circuit.on('halfOpen', changed('half-open'));
    this.#circuit.on('close', changed('closed'));
  }

  get instances(): number {
    return this.#instances.size;
  }

  /** While half-open, the breaker lets one batch through at a time. */
  get idle(): number {
    if (!this.#circuit.halfOpen) return this.#instances.idle();
    return this.#trying ? 0 : Math.min(1, this.#instances.idle());
  }

  get gate(): Executor['gate'] {
    if (this.#circuit.opened) {
      return { kind: 'open', retryAfterMs: Math.max(0, this.#openedAt + RESET_MS - performance.now()) };
    }
    const { outage, loadMs } = this.#instances;
    return outage === undefined ? CLOSED : gateOf(outage, loadMs, performance.now());
  }

  get state(): BreakerState {
    if (this.#circuit.opened) return 'open';
    return this.#circuit.halfOpen ? 'half-open' : 'closed';
  }

  async run(batch: Batch, demand: RunDemand): Promise<RunOutcome> {
    this.#trying = this.#circuit.halfOpen;
    try {
      return await this.#circuit.fire(batch, demand);
    } catch (error) {
      if (error instanceof FailedRun) return error.outcome;
      const { gate } = this;
      if (gate.kind === 'open') return { kind: 'rejected', retryAfterMs: gate.retryAfterMs };
      return { kind: 'failed', error };
    } finally {
      this.#trying = false;
    }
  }

  close(): void {
    this.#circuit.shutdown();
  }
}

const CLOSED = { kind: 'closed' } as const;

function gateOf(outage: Outage, loadMs: number, nowMs: number): Executor['gate'] {
  const backAtMs = outage.nextAtMs + loadMs;
  return {
    kind: 'down',
    sinceMs: outage.sinceMs,
    expectedAtMs: outage.isRefused ? Number.POSITIVE_INFINITY : backAtMs,
    retryAfterMs: Math.max(0, backAtMs - nowMs),
    detail: describeOutage(outage, nowMs),
  };
}

function isFailure({ kind }: RunOutcome): boolean {
  return kind === 'crashed' || kind === 'timed_out' || kind === 'failed';
}
