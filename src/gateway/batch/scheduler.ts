/**
 * The shell around the batch decision: it owns the queue and the timer of one model version, and is handed the function
 * that runs a batch. `arrivals.ts` makes a request of a call, `queue-admission.ts` judges it, `triage.ts` says which of the waiting
 * requests may still run, `dynamic-batcher.ts` chooses the next batch, and `batch-runs.ts` runs it.
 *
 * SCHED-1: each request settles exactly once.
 * SCHED-2: the queue changes only in `enqueue`, `#forget`, `#startRuns`, `#awaitInstance` and `abandon`, and in `Triage.candidates`.
 * SCHED-3: at most one timer is armed, for the earliest moment at which the decision may change by itself.
 * SCHED-4: an expired or cancelled request never enters a batch. A request that is not expected in time enters one only if nothing
 *     can run besides it, or as a probe: predictions may be wrong, and only runs correct them.
 * SCHED-5: a batch never exceeds the maximum rows, and mixes neither shapes nor versions.
 * SCHED-6: while a batch runs that is `exclusive`, nothing runs beside it.
 * SCHED-7: a batch takes requests of one bucket in order of their tags, and passes over only those that would be late in it.
 * SCHED-8: a policy acts on a request in the moment in which its time is over, whatever is running then.
 * SCHED-9: while no instance lives, a request waits as long as one can be back within its deadline; then it is refused, before that
 *     deadline.
 * SCHED-10: no batch is sent without a run of its device, and a grant of the device that is not used is passed on.
 */

import { MAX_TIMER_MS } from '../../timer-limit.ts';
import type { Call, CancelReason } from '../accept/call.ts';
import { cancelled } from '../accept/cancellation.ts';
import { limit, watch } from '../accept/waiter.ts';
import type { InferTensors, RowSize } from '../admit/infer-tensors.ts';
import type { RequestTerms } from '../admit/request-terms.ts';
import { InferError } from '../errors.ts';
import type { Prediction } from '../ops/diagnostics.ts';
import { type ArrivalOptions, Arrivals } from './arrivals.ts';
import { BatchPlanner } from './batch-planner.ts';
import { type BatchRunOptions, BatchRuns } from './batch-runs.ts';
import type { Batcher, WantedTensors } from './batcher.ts';
import { CostModel } from './cost-model.ts';
import { Device, type DevicePlace, type DeviceShare } from './device.ts';
import type { Executor } from './executor.ts';
import type { Forecast, RequestSize } from './forecast.ts';
import type { Down } from './gate.ts';
import { failLost } from './lost-requests.ts';
import { Occupancy } from './occupancy.ts';
import { Predictor } from './predictor.ts';
import { QueueAdmission } from './queue-admission.ts';
import type { InferOutputs, QueuedRequest } from './queued-request.ts';
import { breakerOpen, gaveWay, withPushback } from './refusals.ts';
import { RequestQueue } from './request-queue.ts';
import { ReturningCallers } from './returning-callers.ts';
import { RowLimits } from './row-limits.ts';
import { fail } from './settlement.ts';
import type { CutOptions } from './split/row-cut.ts';
import { type SplitOptions, SplitRequest } from './split/split-request.ts';
import { neededInMs } from './steps-behind.ts';
import { Triage } from './triage.ts';
import { Workload } from './workload.ts';

export interface SchedulerOptions extends ArrivalOptions, BatchRunOptions, Pick<CutOptions, 'inputs'> {
  /** Bytes of tensors that may wait. */
  readonly maxQueueBytes: number;
  /** The device that its instances run on; absent where they share none with other versions. */
  readonly place?: DevicePlace;
}

const always = (): boolean => true;

export class Scheduler implements Batcher {
  readonly occupancy: Occupancy;
  readonly costs = new CostModel();
  readonly #options: SchedulerOptions;
  readonly #executor: Executor;
  readonly #share: DeviceShare;
  readonly #queue: RequestQueue;
  readonly #workload: Workload;
  readonly #predictor: Predictor;
  readonly #arrivals: Arrivals;
  readonly #admission: QueueAdmission;
  readonly #planner: BatchPlanner;
  readonly #runs: BatchRuns;
  readonly #callers = new ReturningCallers();
  readonly #split: SplitOptions;
  #timer: NodeJS.Timeout | undefined;
  #pumpPending = false;

  constructor(options: SchedulerOptions, executor: Executor) {
    const { model } = options;
    const { maxRows } = options.policy;
    const { costs } = this;
    const wake = (): void => this.#pumpSoon();
    const { device, cores, background } = options.place ?? { device: new Device(), cores: 1, background: false };
    const share = device.join({ cores, background, wake });
    // Waiting requests are priced at the usual pace, and follow the present one as a whole.
    const predict = ({ size }: InferTensors, rows: number): number | undefined =>
      costs.predictUsual(size, rows, share.beside);
    const queue = new RequestQueue(options.queues, options.maxQueueBytes, { predict, maxRows });
    const workload = new Workload(queue);
    const rowLimits = new RowLimits(options.maxOutputBytes, maxRows);
    const predictor = new Predictor(workload, costs, share, executor, maxRows);
    const arrivals = new Arrivals(options, queue, costs);
    const admission = new QueueAdmission({ model, arrivals, workload, predictor, executor });
    this.#options = options;
    this.#executor = executor;
    this.#share = share;
    this.#queue = queue;
    this.#workload = workload;
    this.#predictor = predictor;
    this.#arrivals = arrivals;
    this.#admission = admission;
    const triage = new Triage(workload, predictor, admission);
    const callers = this.#callers;
    this.#planner = new BatchPlanner(options.policy, { triage, costs, share, rowLimits, executor, callers });
    this.#runs = new BatchRuns(options, { workload, costs, share, rowLimits, executor, callers, wake });
    this.#split = { ...options, model: model.name, maxRows, workMs: (tensors) => queue.workMs(tensors) };
    this.occupancy = new Occupancy(maxRows * executor.instances);
  }

  get queuedRequests(): number {
    return this.#workload.requests;
  }

  /** Time within which a call without a deadline should be answered, for one row like the latest ones. */
  get usualObjectiveMs(): number {
    return this.#arrivals.usualObjectiveMs;
  }

  get queuedRows(): number {
    return this.#queue.rows;
  }

  /** Times that batches of one row, and of the most rows, are predicted to take if they are like the latest one. */
  get predictions(): readonly Prediction[] {
    return this.#predictor.latest;
  }

  /** Neither waiting nor running anything. */
  get quiet(): boolean {
    return this.#workload.isQuiet;
  }

  drained(): Promise<void> {
    return this.#workload.drained();
  }

  /**
   * Resolves with the request's own rows of the outputs.
   * @throws InferError `queue_full`, `breaker_open`, `runner_lost`, `cannot_meet_deadline`, `deadline_too_short` or `overloaded` at
   *   once; later also `deadline_exceeded`, `cancelled`, `invalid_data`, `runner_killed_twice` or `internal`.
   */
  enqueue(tensors: InferTensors, call: Call, terms: RequestTerms, wanted?: WantedTensors): Promise<InferOutputs> {
    return new Promise((resolve, reject) => {
      const now = performance.now();
      this.#admission.note(tensors);
      this.#callers.arrived(tensors.bucket, now);
      const request = this.#arrivals.requestOf(tensors, call, terms, resolve, reject, now);
      const refusal = call.cancelled ? cancelled('client') : this.#admission.refusal(request, now);
      if (refusal !== undefined) {
        reject(refusal);
        return;
      }
      try {
        const isWhole = request.rows <= this.#options.policy.maxRows;
        const victims = isWhole ? this.#queue.push(request) : this.#pushParts(request, wanted, now);
        for (const victim of victims) fail(victim, gaveWay(this.#predictor.waitMs(victim, now)));
        if (isWhole) this.#watch(request, now);
      } catch (error) {
        reject(withPushback(InferError.from(error), this.#predictor.waitMs(request, now)));
        return;
      }
      this.#pumpSoon();
    });
  }

  /** The parts of a request that does not fit into one batch wait in its place. */
  #pushParts(whole: QueuedRequest, wanted: WantedTensors | undefined, now: number): readonly QueuedRequest[] {
    const split = new SplitRequest(whole, wanted, this.#split);
    const victims = this.#queue.pushParts(whole, () => split.cut());
    this.#admission.substitute(whole, split.parts);
    for (const part of split.parts) this.#watch(part, now);
    return victims;
  }

  #watch(request: QueuedRequest, now: number): void {
    request.occupancy = this.occupancy;
    this.occupancy.enter(request.rows, now);
    watch(request, this.#forget);
    limit(request, request.limitMs, now, this.#endLimit);
  }

  refusal(call: Call, terms: RequestTerms): InferError | undefined {
    return this.#admission.earlyRefusal(call, terms);
  }

  forecast(request: RequestSize): Forecast {
    return this.#predictor.forecast(request);
  }

  /** To be called when an instance may have become idle. */
  wake(): void {
    this.#pumpSoon();
  }

  /** Fails everything that waits. */
  abandon(error: InferError): void {
    for (const request of [...this.#queue.sweep(always), ...this.#workload.prepared.sweep(always)])
      fail(request, error);
    this.#workload.reportQuiet();
  }

  /** Leaves its device. To be called when nothing waits and nothing runs. */
  close(): void {
    this.#share.leave();
  }

  /** Learns how long a batch took that ran with nothing beside it: a warm-up run. */
  observe(size: RowSize, rows: number, elapsedMs: number): void {
    this.costs.measure(size, rows, elapsedMs, performance.now());
  }

  /** Made once: a request's call and its timer refer to it. */
  readonly #forget = (request: QueuedRequest, reason: CancelReason): void => {
    this.#queue.leave(request);
    fail(request, cancelled(reason));
    if (this.#workload.isDraining) this.#pumpSoon();
  };

  /** SCHED-8. Postponing changes which request is sent, but not when. */
  readonly #endLimit = (request: QueuedRequest, reason: CancelReason): void => {
    if (this.#options.queues.at(request.level).timeoutAction === 'delay') this.#queue.postpone(request);
    else this.#forget(request, reason);
  };

  /** All requests that arrive in one turn of the event loop are seen by one decision: no timer, and no wait. */
  #pumpSoon(): void {
    if (this.#pumpPending) return;
    this.#pumpPending = true;
    setImmediate(() => {
      this.#pumpPending = false;
      this.#pump();
      this.#workload.reportQuiet();
    });
  }

  #pump(): void {
    clearTimeout(this.#timer);
    const { gate } = this.#executor;
    if (gate.kind === 'open') this.abandon(breakerOpen(this.#options.model, gate.retryAfterMs));
    else if (gate.kind === 'down') this.#awaitInstance(gate);
    else this.#startRuns();
    if (gate.kind !== 'closed' || !this.#share.isWaiting) this.#share.pass();
  }

  #startRuns(): void {
    while (this.#executor.idle > 0 && !this.#workload.isExclusive && !this.#share.isWaiting) {
      const now = performance.now();
      const next = this.#workload.prepared.next(this.#workload.inFlight.size > 0, now);
      if (next === 'wait') return;
      if (next !== undefined) {
        const run = this.#share.start(this.#predictor.predictBatch(next.requests, now));
        if (run !== undefined) void this.#runs.send(next, 'alone', run);
        else this.#workload.prepared.putBack(next);
        continue;
      }
      const decision = this.#planner.next(now);
      if (decision.kind === 'idle') return;
      if (decision.kind === 'wait') {
        this.#timer = setTimeout(() => this.#pump(), Math.min(MAX_TIMER_MS, Math.max(0, decision.until - now)));
        return;
      }
      const { requests, reason } = decision;
      const run = this.#share.start(this.#predictor.predictBatch(requests, now), neededInMs(requests));
      if (run === undefined) return;
      this.#queue.send(requests);
      void this.#runs.send({ requests, exclusive: false }, reason, run);
    }
  }

  /** No instance lives: fails the requests that none can come back in time for, and looks again when the next one is due. */
  #awaitInstance(gate: Down): void {
    const now = performance.now();
    const nextMs = failLost(this.#workload, this.#options.model, gate, now);
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#pumpSoon(), Math.min(MAX_TIMER_MS, Math.max(0, nextMs - now)));
  }
}
