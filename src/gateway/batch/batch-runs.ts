/** The runs of one model version: each batch from its start to what follows from its end. */

import type { RunOutcome } from '../../worker/run-outcome.ts';
import { diagnostics, type SendReason } from '../ops/diagnostics.ts';
import type { Batch } from './batch.ts';
import { type BatchEndOptions, endBatch, labelOf } from './batch-end.ts';
import type { CostModel } from './cost-model.ts';
import type { DeviceRun, DeviceShare } from './device.ts';
import type { Executor } from './executor.ts';
import { paddedSize } from './length-runs.ts';
import type { Prepared } from './prepared-batches.ts';
import type { ReturningCallers } from './returning-callers.ts';
import type { RowLimits } from './row-limits.ts';
import { reportStopped } from './stopped-run.ts';
import { rowsOf } from './waiting.ts';
import type { Workload } from './workload.ts';

export interface BatchRunOptions extends BatchEndOptions {
  readonly record: (batch: Batch, outcome: RunOutcome) => void;
}

/** The parts of a scheduler that a run changes. */
interface BatchRunDependencies {
  readonly workload: Workload;
  readonly costs: CostModel;
  readonly share: DeviceShare;
  readonly rowLimits: RowLimits;
  readonly executor: Executor;
  readonly callers: ReturningCallers;
  /** Called when a batch has ended. */
  readonly wake: () => void;
}

/** Outcomes of runs that ended with their process. */
const LOST: ReadonlySet<RunOutcome['kind']> = new Set([
  'crashed',
  'timed_out',
  'overran',
  'interrupted',
  'out_of_memory',
]);

export class BatchRuns {
  readonly #options: BatchRunOptions;
  readonly #workload: Workload;
  readonly #costs: CostModel;
  readonly #share: DeviceShare;
  readonly #rowLimits: RowLimits;
  readonly #executor: Executor;
  readonly #callers: ReturningCallers;
  readonly #wake: () => void;

  constructor(options: BatchRunOptions, parts: BatchRunDependencies) {
    const { workload, costs, share, rowLimits, executor, callers, wake } = parts;
    this.#options = options;
    this.#workload = workload;
    this.#costs = costs;
    this.#share = share;
    this.#rowLimits = rowLimits;
    this.#executor = executor;
    this.#callers = callers;
    this.#wake = wake;
  }

  /** One batch from its start to what follows from its end. Never rejects. */
  async send({ requests, exclusive }: Prepared, reason: SendReason, run: DeviceRun): Promise<void> {
    const batch: Batch = { requests, reason, rows: rowsOf(requests) };
    const size = paddedSize(requests);
    const { beside } = run;
    const sentAt = performance.now();
    const startedAtMs = Date.now();
    const predicted = this.#costs.predict(size, batch.rows, sentAt, beside);
    for (const request of requests) request.sentAtMs = sentAt;
    const place = { expectedEndMs: sentAt + (predicted ?? 0) };
    this.#workload.inFlight.add(place);
    if (exclusive) this.#workload.isExclusive = true;
    const outcome = await this.#executor.run(batch, {
      expectedMs: predicted ?? 0,
      isInTheWay: () => this.#isInTheWay(batch),
      wait: (isWaiting) => run.wait(isWaiting),
    });
    run.end();
    if (exclusive) this.#workload.isExclusive = false;
    this.#workload.inFlight.delete(place);
    const now = performance.now();
    const elapsedMs = now - sentAt - (outcome.kind === 'ok' ? (outcome.roomMs ?? 0) : 0);
    if (outcome.kind === 'ok') {
      const bucket = requests[0]?.tensors.bucket ?? '';
      this.#costs.observe(size, batch.rows, elapsedMs, now, beside);
      this.#rowLimits.learn(bucket, batch.rows, outcome.outputs);
      this.#callers.ended(bucket, batch.requests.length, batch.rows, now);
    }
    this.#options.record(batch, outcome);
    reportStopped(this.#options.model, batch, outcome, now - sentAt);
    diagnostics.batchEnded.publish({
      model: this.#options.model,
      calls: requests.map(({ call }) => call),
      rows: batch.rows,
      reason,
      outcome: labelOf(outcome),
      startedAtMs,
      elapsedMs,
      predictedMs: predicted,
      inputMs: outcome.kind === 'ok' ? outcome.inputMs : now - sentAt,
      computeMs: outcome.kind === 'ok' ? outcome.computeMs : 0,
      outputMs: outcome.kind === 'ok' ? outcome.outputMs : 0,
    });
    const further = endBatch(batch, outcome, this.#options);
    if (further.length > 0 && LOST.has(outcome.kind)) {
      diagnostics.requestsRepeated.publish({ model: this.#options.model, requests: requestsOf(further) });
    }
    this.#workload.prepared.push(further);
    this.#wake();
  }

  /** No caller waits for the batch any more, and requests wait for an instance, or a close waits for the scheduler. */
  #isInTheWay({ requests }: Batch): boolean {
    if (!requests.every(({ settled }) => settled)) return false;
    if (this.#workload.isDraining) return true;
    if (this.#workload.requests === 0) return false;
    // With an idle instance, a request waits for a queue delay, for cores, or for nothing to run beside it.
    return (
      this.#executor.idle === 0 ||
      this.#workload.isExclusive ||
      this.#share.isWaiting ||
      this.#workload.prepared.requests > 0
    );
  }
}

function requestsOf(batches: readonly Prepared[]): number {
  return batches.reduce((sum, { requests }) => sum + requests.length, 0);
}
