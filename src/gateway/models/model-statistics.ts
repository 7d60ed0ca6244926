/** Counters of one model version for `ModelStatistics`. Durations are summed in milliseconds, and only grow. */

import type { RunOutcome } from '../../worker/run-outcome.ts';
import type { Batch } from '../batch/batch.ts';
import { type PaddingSum, paddingOf } from '../batch/padding.ts';
import type { RequestTiming } from '../batch/queued-request.ts';
import type { Reason } from '../errors.ts';
import type { LengthAxis } from '../repository/signature/length-axis.ts';

/** Reasons of failures, as Triton's metrics distinguish them. */
export const FAILURE_CAUSES = ['REJECTED', 'CANCELED', 'BACKEND', 'OTHER'] as const;
export type FailureCause = (typeof FAILURE_CAUSES)[number];

/** Other reasons are `OTHER`: mostly the caller's mistake. */
const CAUSE_OF: Partial<Readonly<Record<Reason, FailureCause>>> = {
  queue_full: 'REJECTED',
  cannot_meet_deadline: 'REJECTED',
  deadline_too_short: 'REJECTED',
  overloaded: 'REJECTED',
  deadline_exceeded: 'REJECTED',
  limit_exceeded: 'REJECTED',
  breaker_open: 'REJECTED',
  draining: 'REJECTED',
  cancelled: 'CANCELED',
  invalid_data: 'BACKEND',
  model_failed: 'BACKEND',
  runner_lost: 'BACKEND',
  runner_killed_twice: 'BACKEND',
  internal: 'BACKEND',
};

export interface DurationSum {
  count: number;
  ms: number;
}

export interface BatchSum {
  readonly rows: number;
  readonly input: DurationSum;
  readonly compute: DurationSum;
  readonly output: DurationSum;
}

export class ModelStatistics {
  readonly success: DurationSum = { count: 0, ms: 0 };
  readonly fail: DurationSum = { count: 0, ms: 0 };
  readonly failures: Readonly<Record<FailureCause, DurationSum>> = {
    REJECTED: { count: 0, ms: 0 },
    CANCELED: { count: 0, ms: 0 },
    BACKEND: { count: 0, ms: 0 },
    OTHER: { count: 0, ms: 0 },
  };
  /** Requests that were answered without a run of their own, and what looking for their answers took. */
  readonly cacheHit: DurationSum = { count: 0, ms: 0 };
  /** Requests that a response cache had no answer for, and what looking and keeping took. */
  readonly cacheMiss: DurationSum = { count: 0, ms: 0 };
  readonly queue: DurationSum = { count: 0, ms: 0 };
  readonly input: DurationSum = { count: 0, ms: 0 };
  readonly compute: DurationSum = { count: 0, ms: 0 };
  readonly output: DurationSum = { count: 0, ms: 0 };
  /** By executed batch size, in rows. */
  readonly batches = new Map<number, BatchSum>();
  /** Elements along the length axis in the batches that ended well: those that were padding, and all of them. */
  readonly padding: PaddingSum = { padded: 0, computed: 0 };
  /** Rows that were run and answered. */
  inferenceCount = 0;
  executionCount = 0;
  /** `Date.now()` of the last request; 0 before the first. */
  lastInferenceMs = 0;
  /** The same on the clock of `performance.now()`, which no one sets. */
  lastUsedMs = 0;

  /**
   * Charges a request that was answered the whole run of its batch, as Triton does: the three compute counts stay equal. One
   * that had no run of its own is charged none.
   */
  recordSuccess(rows: number, timing: RequestTiming, totalMs: number, nowMs = performance.now()): void {
    const { cache } = timing;
    this.lastInferenceMs = Date.now();
    this.lastUsedMs = nowMs;
    add(this.success, totalMs);
    add(this.queue, timing.queueMs);
    if (cache !== undefined) add(cache.outcome === 'miss' ? this.cacheMiss : this.cacheHit, cache.ms);
    if (cache !== undefined && cache.outcome !== 'miss') return;
    this.inferenceCount += rows;
    add(this.input, timing.inputMs);
    add(this.compute, timing.computeMs);
    add(this.output, timing.outputMs);
  }

  /** A request that was refused, given up or failed after its model was found. */
  recordFailure(totalMs: number, reason: Reason, nowMs = performance.now()): void {
    this.lastInferenceMs = Date.now();
    this.lastUsedMs = nowMs;
    add(this.fail, totalMs);
    add(this.failures[CAUSE_OF[reason] ?? 'OTHER'], totalMs);
  }

  /**
   * Charges a run once, under the size that was executed.
   * @param lengths along which shorter requests are padded.
   */
  recordBatch(batch: Batch, outcome: RunOutcome, lengths?: LengthAxis): void {
    if (outcome.kind !== 'ok') return;
    this.recordRun(batch.rows, outcome);
    if (lengths === undefined) return;
    const { padded, computed } = paddingOf(batch, lengths);
    this.padding.padded += padded;
    this.padding.computed += computed;
  }

  /** Charges a run of so many rows. A request of an ensemble counts as one. */
  recordRun(rows: number, outcome: Pick<RequestTiming, 'inputMs' | 'computeMs' | 'outputMs'>): void {
    this.executionCount++;
    const found = this.batches.get(rows);
    const sum = found ?? {
      rows,
      input: { count: 0, ms: 0 },
      compute: { count: 0, ms: 0 },
      output: { count: 0, ms: 0 },
    };
    if (found === undefined) this.batches.set(rows, sum);
    add(sum.input, outcome.inputMs);
    add(sum.compute, outcome.computeMs);
    add(sum.output, outcome.outputMs);
  }
}

function add(sum: DurationSum, ms: number): void {
  sum.count++;
  sum.ms += ms;
}
