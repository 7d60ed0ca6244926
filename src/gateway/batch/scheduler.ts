/**
 * The shell around the batch decision: it owns the queue and the timer of one model version, and is handed the function
 * that runs a batch.
 *
 * Q1: each request settles exactly once.
 * Q2: the queue changes only in `enqueue`, `#forget`, `#candidates`, `#startRuns`, `#awaitInstance` and `abandon`.
 * Q3: at most one timer is armed, for the earliest moment at which the decision may change by itself.
 * Q4: an expired or cancelled request never enters a batch. A request that is not expected in time enters one only if nothing
 *     can run besides it, or as a probe: predictions may be wrong, and only runs correct them.
 * Q5: a batch never exceeds the maximum rows, and mixes neither shapes nor versions.
 * Q6: while a batch runs that is `exclusive`, nothing runs beside it.
 * Q7: a batch takes requests of one bucket in order of their turns, and passes over only those that would be late in it.
 * Q8: a policy acts on a request in the moment in which its time is over, whatever is running then.
 * Q9: while no instance lives, a request waits as long as one can be back within its deadline; then it is refused, before that
 *     deadline.
 * Q10: no batch is sent without a run of its device, and a turn on the device that is not used is passed on.
 */

import { MAX_TIMER_MS } from '../../timer-limit.ts';
import type { Call, CancelReason } from '../accept/call.ts';
import { cancelled, expired } from '../accept/cancellation.ts';
import type { InferTensors, RowSize } from '../admit/infer-tensors.ts';
import { type RequestTerms, waitMsOf } from '../admit/request-terms.ts';
import { InferError } from '../errors.ts';
import { diagnostics, type Prediction, type SendReason } from '../ops/diagnostics.ts';
import { admissionSlack } from './admission-slack.ts';
import type { Batch } from './batch.ts';
import { type BatchEndOptions, endBatch, outcomeOf } from './batch-end.ts';
import type { Batcher } from './batcher.ts';
import { CostModel } from './cost-model.ts';
import { Device, type DevicePlace, type DeviceRun, type DeviceShare } from './device.ts';
import { decide } from './dynamic-batcher.ts';
import type { Flow } from './fair-turns.ts';
import type { Forecast, RequestLoad } from './forecast.ts';
import { type Down, isWorthWaiting, runnerLost, waitsUntilMs } from './gate.ts';
import { paddedSize, withFirst } from './length-runs.ts';
import { defaultObjectiveMs } from './objective.ts';
import { Occupancy } from './occupancy.ts';
import { type Prepared, PreparedBatches } from './prepared-batches.ts';
import type { QueuePolicies } from './queue-policy.ts';
import type { Arrival, InferOutputs, QueuedRequest } from './queued-request.ts';
import { breakerOpen, cannotMeetDeadline, deadlineTooShort, gaveWay, overloaded, withPushback } from './refusals.ts';
import { RequestQueue, type Verdict } from './request-queue.ts';
import { type RequestTimes, timesOf } from './request-times.ts';
import { RowLimits } from './row-limits.ts';
import type { Executor, RunOutcome } from './run-outcome.ts';
import { SeenSizes } from './seen-sizes.ts';
import { settle } from './settlement.ts';
import { neededInMs, withStepsBehind } from './steps-behind.ts';
import { reportStopped } from './stopped-run.ts';
import { type TenantOf, UNNAMED } from './tenants.ts';
import { type BatchPolicy, type Bucket, rowsOf } from './waiting.ts';

export interface SchedulerOptions extends BatchEndOptions {
  readonly policy: BatchPolicy;
  readonly queues: QueuePolicies;
  /** Bytes of tensors that may wait. */
  readonly maxQueueBytes: number;
  /** The device that its instances run on; absent where they share none with other versions. */
  readonly place?: DevicePlace;
  /** Whose call it is; without it all are one tenant's. */
  readonly tenantOf?: TenantOf | undefined;
  /** After how many milliseconds a request should be answered whose caller names no time; by default it follows from the model's speed. */
  readonly objectiveMs?: number | undefined;
  /** Notified of every batch that ended. */
  readonly record: (batch: Batch, outcome: RunOutcome) => void;
}

/** A probe runs at most this often, in predicted runs and in milliseconds. */
const PROBE_RUNS = 20;
const PROBE_INTERVAL_MS = 1_000;

const always = (): boolean => true;

export class Scheduler implements Batcher {
  readonly occupancy: Occupancy;
  readonly costs = new CostModel();
  readonly #options: SchedulerOptions;
  readonly #executor: Executor;
  readonly #share: DeviceShare;
  readonly #queue: RequestQueue;
  readonly #prepared = new PreparedBatches();
  readonly #rowLimits: RowLimits;
  /** When the batches in flight are expected back. */
  readonly #inFlight = new Map<Batch, number>();
  readonly #sizes = new SeenSizes();
  #exclusive = false;
  /** The last that found the version quiet. */
  #newcomer: QueuedRequest | undefined;
  /** Runs whatever is predicted. */
  #probe: QueuedRequest | undefined;
  #probedAtMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #pumpPending = false;
  /** Who waits for the scheduler to be quiet. */
  readonly #drainWaiters: (() => void)[] = [];

  constructor(options: SchedulerOptions, executor: Executor) {
    const { maxRows } = options.policy;
    this.#options = options;
    // What waits is priced at the usual pace, and follows the present one as a whole.
    const predict = ({ size }: InferTensors, rows: number): number | undefined =>
      this.costs.predictUsual(size, rows, this.#share.beside);
    this.#executor = executor;
    const { device, cores, background } = options.place ?? { device: new Device(), cores: 1, background: false };
    this.#share = device.join({ cores, background, wake: () => this.#pumpSoon() });
    this.#queue = new RequestQueue(options.queues, options.maxQueueBytes, { predict, maxRows });
    this.#rowLimits = new RowLimits(options.maxOutputBytes, maxRows);
    this.occupancy = new Occupancy(maxRows * executor.instances);
  }

  /** Requests that wait. */
  get queuedRequests(): number {
    return this.#queue.requests + this.#prepared.requests;
  }

  get queuedRows(): number {
    return this.#queue.rows;
  }

  /** Times that batches of one row, and of the most rows, are predicted to take if they are like the latest one. */
  get predictions(): readonly Prediction[] {
    const now = performance.now();
    return [...new Set([1, this.#options.policy.maxRows])].flatMap((rows) => {
      const ms = this.costs.predictLatest(rows, now);
      return ms === undefined ? [] : [{ rows, ms }];
    });
  }

  /** Neither waiting nor running anything. */
  get quiet(): boolean {
    return this.#inFlight.size === 0 && this.queuedRequests === 0;
  }

  drained(): Promise<void> {
    if (this.quiet) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  /**
   * Resolves with the request's own rows of the outputs.
   * @throws InferError `queue_full`, `breaker_open`, `runner_lost`, `cannot_meet_deadline`, `deadline_too_short` or `overloaded` at
   *   once; later also `deadline_exceeded`, `cancelled`, `invalid_data`, `runner_killed_twice` or `internal`.
   */
  enqueue(tensors: InferTensors, call: Call, terms: RequestTerms): Promise<InferOutputs> {
    return new Promise((resolve, reject) => {
      const now = performance.now();
      this.#sizes.note(tensors);
      const request = this.#requestOf(tensors, call, terms, resolve, reject, now);
      const refusal = call.cancelled ? cancelled('client') : this.#refusal(request, now);
      if (refusal !== undefined) {
        reject(refusal);
        return;
      }
      try {
        for (const victim of this.#queue.push(request)) settle(victim, gaveWay(this.#waitMs(victim, now)));
      } catch (error) {
        reject(withPushback(InferError.from(error), this.#waitMs(request, now)));
        return;
      }
      request.occupancy = this.occupancy;
      this.occupancy.enter(request.rows, now);
      // Bound, no arrow: V8 keeps a closure that outlives a collection of the young objects until it collects the old ones,
      // and with this one the whole request.
      call.onCancel = this.#forget.bind(this, request);
      // The transport watches the call's deadline; only a shorter time of the request's own needs a timer.
      const { limitMs } = request;
      if (now + limitMs < call.deadline && limitMs <= MAX_TIMER_MS) {
        const postpones = this.#options.queues.at(request.level).timeoutAction === 'delay';
        // Postponing changes which request is sent, but not when.
        const act = (): unknown => (postpones ? this.#queue.postpone(request) : this.#forget(request, 'deadline'));
        const timer = setTimeout(act, limitMs);
        request.stopTimer = () => clearTimeout(timer);
      }
      this.#pumpSoon();
    });
  }

  /**
   * Judges the lightest request that ever came, with as much time as the heaviest would have. What could be let through as a probe
   * is not refused here.
   */
  refusal(call: Call, terms: RequestTerms): InferError | undefined {
    const { lightest, heaviest } = this.#sizes;
    if (lightest === undefined || heaviest === undefined || this.quiet) return undefined;
    const now = performance.now();
    const light = this.#arrivalOf(lightest, call, terms, now);
    const closed = this.#closedTo(light, now);
    if (closed !== undefined) return closed;
    // Only an objective grants the heaviest more time.
    const isAlike = heaviest === lightest || light.objectiveAt === Number.POSITIVE_INFINITY;
    const heavy = isAlike ? light : this.#arrivalOf(heaviest, call, terms, now);
    const waitMs = this.#waitMs(light, now);
    const aloneMs = this.#predict(lightest, light.rows, now) ?? 0;
    if (waitMs + aloneMs <= this.#slackOf(heavy) * (heavy.deadline - now)) {
      return this.#queue.refusal(light.flow, lightest, waitMs);
    }
    const longestMs = this.#predict(heaviest, heaviest.rows, now) ?? 0;
    if (longestMs > admissionSlack(light) * (light.deadline - now) && this.#mayProbe(aloneMs, now)) return undefined;
    return this.#tooMuchBefore(light, waitMs, now);
  }

  forecast(load: RequestLoad): Forecast {
    const now = performance.now();
    const { maxRows } = this.#options.policy;
    const ms = (rows: number) => this.#predict(load, rows, now) ?? 0;
    const rest = load.rows % maxRows;
    return {
      runningMs: this.#runningMs(now),
      waitingMs: (this.#queue.ms * this.costs.slowness) / this.#executor.instances,
      aloneMs: Math.floor(load.rows / maxRows) * ms(maxRows) + (rest === 0 ? 0 : ms(rest)),
      isIdle: this.quiet,
      device: this.#share.device,
      parallel: this.#share.parallel,
    };
  }

  /** To be called when an instance may have become idle. */
  wake(): void {
    this.#pumpSoon();
  }

  /** Fails everything that waits. */
  abandon(error: InferError): void {
    for (const request of [...this.#queue.sweep(always), ...this.#prepared.sweep(always)]) settle(request, error);
    this.#tellDrained();
  }

  /** Leaves its device. To be called when nothing waits and nothing runs. */
  close(): void {
    this.#share.leave();
  }

  /** Learns how long a batch took that ran with nothing beside it: a warm-up run. */
  observe(size: RowSize, rows: number, elapsedMs: number): void {
    this.costs.measure(size, rows, elapsedMs, performance.now());
  }

  #requestOf(
    tensors: InferTensors,
    call: Call,
    terms: RequestTerms,
    resolve: QueuedRequest['resolve'],
    reject: QueuedRequest['reject'],
    now: number,
  ): QueuedRequest {
    const { rows, bytes } = tensors;
    const level = this.#options.queues.levelOf(terms);
    const times = this.#timesOf(tensors, call, terms, level, now);
    // Field by field: spreading objects takes longer than everything around it.
    return {
      limitMs: times.limitMs,
      expiresAt: times.expiresAt,
      latestAt: times.latestAt,
      objectiveAt: times.objectiveAt,
      due: times.due,
      resolve,
      reject,
      tensors,
      call,
      rows,
      bytes,
      workMs: this.#queue.workMs(tensors),
      deadline: times.deadline,
      behind: terms.behind,
      arrivalMs: now,
      level,
      flow: this.#flowOf(call, level, times, now),
      turn: 0,
      isWaiting: false,
      suspect: false,
      sentAtMs: 0,
      settled: false,
      stopTimer: undefined,
      occupancy: undefined,
    };
  }

  /** Less than a request, because most that are judged are refused. */
  #arrivalOf(tensors: InferTensors, call: Call, terms: RequestTerms, now: number): Arrival {
    const level = this.#options.queues.levelOf(terms);
    const times = this.#timesOf(tensors, call, terms, level, now);
    return {
      expiresAt: times.expiresAt,
      latestAt: times.latestAt,
      objectiveAt: times.objectiveAt,
      due: times.due,
      deadline: times.deadline,
      arrivalMs: now,
      tensors,
      rows: tensors.rows,
      behind: terms.behind,
      flow: this.#flowOf(call, level, times, now),
    };
  }

  #timesOf({ size, rows }: InferTensors, call: Call, terms: RequestTerms, level: number, now: number): RequestTimes {
    const { queues, policy, objectiveMs } = this.#options;
    const objective = objectiveMs ?? defaultObjectiveMs(policy.maxDelayMs, this.costs.typical(size, rows));
    return timesOf(call, terms, queues.at(level), objective, rows, now);
  }

  #flowOf(call: Call, level: number, { objectiveAt, deadline }: RequestTimes, now: number): Flow {
    const { name: tenant, weight } = this.#options.tenantOf?.(call) ?? UNNAMED;
    const isNamed = objectiveAt === Number.POSITIVE_INFINITY;
    return this.#queue.flowOf({ tenant, weight, level, grantedMs: deadline - now, isNamed });
  }

  /** Why the request cannot be taken now, if so. */
  #refusal(request: QueuedRequest, now: number): InferError | undefined {
    const closed = this.#closedTo(request, now);
    if (closed !== undefined) return closed;
    // An idle version learns nothing by refusing.
    if (this.quiet && request.behind?.(request.rows).isIdle !== false) {
      this.#newcomer = request;
      return undefined;
    }
    const leftMs = request.deadline - now;
    const aloneMs = this.#aloneMs(request, now);
    const waitMs = this.#waitMs(request, now);
    if (waitMs + aloneMs <= this.#slackOf(request) * leftMs) return undefined;
    if (aloneMs > admissionSlack(request) * leftMs && this.#mayProbe(aloneMs, now)) {
      this.#probe = request;
      this.#probedAtMs = now;
      return undefined;
    }
    return this.#tooMuchBefore(request, waitMs, now);
  }

  /** Why nothing runs that the request could wait for, if so. */
  #closedTo(request: Arrival, now: number): InferError | undefined {
    const { gate } = this.#executor;
    if (gate.kind === 'open') return breakerOpen(this.#options.model, gate.retryAfterMs);
    if (request.expiresAt <= now) return expired();
    if (gate.kind === 'down' && !isWorthWaiting(request, gate, now)) return runnerLost(this.#options.model, gate);
    return undefined;
  }

  #tooMuchBefore(request: Arrival, waitMs: number, now: number): InferError {
    const { objectiveAt, latestAt, arrivalMs } = request;
    if (objectiveAt < latestAt) return overloaded(waitMs, objectiveAt - arrivalMs);
    const leftMs = request.deadline - now;
    const fastestMs = this.#fastest(request.tensors, request.rows);
    // What waits elsewhere is no reason to give up for good.
    const grantedMs = request.latestAt - now;
    if (fastestMs !== undefined && fastestMs > grantedMs) return deadlineTooShort(fastestMs, grantedMs);
    return cannotMeetDeadline(waitMs, this.#aloneMs(request, now), leftMs);
  }

  /** The request's own run, and the runs of the steps behind it. */
  #aloneMs({ tensors, rows, behind }: Arrival, now: number): number {
    return (this.#predict(tensors, rows, now) ?? 0) + (behind?.(rows).runMs ?? 0);
  }

  /**
   * Whose caller named no time is not refused because the machine is slow for a while, but because more is asked than the model
   * answers at its usual pace: callers in a closed loop ask for no more on a slow machine.
   */
  #slackOf(request: Arrival): number {
    const slack = admissionSlack(request);
    return request.objectiveAt < request.latestAt ? slack * this.costs.slowness : slack;
  }

  #mayProbe(aloneMs: number, now: number): boolean {
    return now - this.#probedAtMs >= Math.max(PROBE_INTERVAL_MS, PROBE_RUNS * aloneMs);
  }

  /** Predicted time until the runs in flight and the requests ahead are done; 0 if unknown. */
  #waitMs(request: Arrival, now: number): number {
    const beforeMs = this.#queue.msBefore(request) * this.costs.slowness;
    if (this.#executor.idle > 0 && beforeMs === 0) return 0;
    return this.#runningMs(now) + beforeMs / this.#executor.instances;
  }

  /** About how long until an instance is idle. */
  #runningMs(now: number): number {
    if (this.#executor.idle > 0) return 0;
    let soonest = Number.POSITIVE_INFINITY;
    for (const end of this.#inFlight.values()) soonest = Math.min(soonest, end);
    return soonest === Number.POSITIVE_INFINITY ? 0 : Math.max(0, soonest - now);
  }

  #forget(request: QueuedRequest, reason: CancelReason): void {
    this.#queue.leave(request);
    settle(request, cancelled(reason));
    if (this.#drainWaiters.length > 0) this.#pumpSoon();
  }

  /** All requests that arrive in one turn of the event loop are seen by one decision: no timer, and no wait. */
  #pumpSoon(): void {
    if (this.#pumpPending) return;
    this.#pumpPending = true;
    setImmediate(() => {
      this.#pumpPending = false;
      this.#pump();
      this.#tellDrained();
    });
  }

  #tellDrained(): void {
    if (this.#drainWaiters.length === 0 || !this.quiet) return;
    for (const resolve of this.#drainWaiters.splice(0)) resolve();
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
    while (this.#executor.idle > 0 && !this.#exclusive && !this.#share.isWaiting) {
      const now = performance.now();
      const next = this.#prepared.next(this.#inFlight.size > 0, now);
      if (next === 'wait') return;
      if (next !== undefined) {
        const run = this.#share.start(this.#predictBatch(next.requests, now));
        if (run !== undefined) void this.#send(next, 'alone', run);
        else this.#prepared.putBack(next);
        continue;
      }
      const candidates = this.#candidates(now);
      const buckets = candidates.map((waiting) => this.#bucket(waiting, now));
      const runs = Math.min(this.#executor.idle, this.#share.room);
      const decision = decide(buckets, this.#options.policy, runs, now);
      if (decision.kind === 'idle') return;
      if (decision.kind === 'wait') {
        this.#timer = setTimeout(() => this.#pump(), Math.min(MAX_TIMER_MS, Math.max(0, decision.until - now)));
        return;
      }
      const { reason } = decision;
      const requests = reason === 'preferred' ? decision.requests : this.#withoutDearPadding(decision.requests, now);
      const run = this.#share.start(this.#predictBatch(requests, now), neededInMs(requests));
      if (run === undefined) return;
      this.#queue.send(requests);
      void this.#send({ requests, exclusive: false }, reason, run);
    }
  }

  /** What waits with the first of them for a run of their own, which is cheaper, stays in the queue. */
  #withoutDearPadding(requests: readonly QueuedRequest[], now: number): readonly QueuedRequest[] {
    const { beside } = this.#share;
    return withFirst(requests, (size, rows) => this.costs.predict(size, rows, now, beside));
  }

  /** No instance lives: fails the requests that none can come back in time for, and looks again when the next one is due. */
  #awaitInstance(gate: Down): void {
    const now = performance.now();
    let nextMs = Number.POSITIVE_INFINITY;
    const isLost = (request: QueuedRequest): boolean => {
      if (!isWorthWaiting(request, gate, now)) return true;
      nextMs = Math.min(nextMs, waitsUntilMs(request, gate));
      return false;
    };
    for (const request of [...this.#prepared.sweep(isLost), ...this.#queue.sweep(isLost)]) {
      settle(request, runnerLost(this.#options.model, gate));
    }
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#pumpSoon(), Math.min(MAX_TIMER_MS, Math.max(0, nextMs - now)));
  }

  /** What may run now, bucket by bucket; what cannot be answered in time is given up, unless it is all that there is to run. */
  #candidates(now: number): readonly (readonly QueuedRequest[])[] {
    const { promising, doubtful, hopeless, expired: late } = this.#queue.survey((request) => this.#judge(request, now));
    for (const request of late) settle(request, expired());
    if (this.#probe?.isWaiting === true) return [[this.#probe]];
    this.#probe = undefined;
    const isIdle = this.#inFlight.size === 0;
    if (promising.size === 0 && isIdle) {
      const last = doubtful.length > 0 ? doubtful : hopeless.filter((request) => request === this.#newcomer);
      if (last.length > 0) return byBucket(last);
    }
    for (const request of hopeless) {
      this.#queue.leave(request);
      settle(request, this.#tooMuchBefore(request, this.#waitMs(request, now), now));
    }
    return [...promising.values()];
  }

  #judge(request: QueuedRequest, now: number): Verdict {
    if (request.expiresAt <= now) return 'expired';
    const aloneMs = this.#aloneMs(request, now);
    const behind = request.behind?.(request.rows);
    const waitMs = waitMsOf(behind);
    if (request.objectiveAt < request.latestAt) {
      const isLate = now + aloneMs + waitMs > request.objectiveAt;
      if (isLate && this.#isOverloaded(request, waitMs)) return 'hopeless';
      request.deadline = (isLate ? request.latestAt : request.objectiveAt) - waitMs;
    } else if (behind !== undefined) request.deadline = request.latestAt - waitMs;
    const leftMs = request.deadline - now;
    if (aloneMs <= leftMs && leftMs > 0) return 'promising';
    const mayBeFaster = behind?.isIdle !== false && (this.#fastest(request.tensors, request.rows) ?? 0) <= leftMs;
    return mayBeFaster ? 'doubtful' : 'hopeless';
  }

  /**
   * Whether the backlog of the request's flow, and the batch that collects meanwhile, take longer than the objective at the usual pace.
   * Otherwise a stall or a slow machine made the request late, and it makes no other late.
   * @param waitBehindMs what the steps behind it wait for
   */
  #isOverloaded({ flow, objectiveAt, arrivalMs, tensors }: QueuedRequest, waitBehindMs: number): boolean {
    const drainMs = this.#queue.drainMs(flow) / this.#executor.instances;
    const fullMs = this.costs.predictUsual(tensors.size, this.#options.policy.maxRows, this.#share.beside) ?? 0;
    const behindMs = waitBehindMs / this.costs.slowness;
    return drainMs + Math.min(drainMs, fullMs) + behindMs > objectiveAt - arrivalMs;
  }

  #bucket(waiting: readonly QueuedRequest[], now: number): Bucket<QueuedRequest> {
    const size = paddedSize(waiting);
    const { beside } = this.#share;
    return withStepsBehind({
      waiting,
      maxRows: this.#rowLimits.of(waiting[0]?.tensors.bucket ?? ''),
      predict: (rows) => this.costs.predict(size, rows, now, beside),
    });
  }

  /** One batch from its start to what follows from its end. Never rejects. */
  async #send({ requests, exclusive }: Prepared, reason: SendReason, run: DeviceRun): Promise<void> {
    const batch: Batch = { requests, reason, rows: rowsOf(requests) };
    const size = paddedSize(requests);
    const { beside } = run;
    const sentAt = performance.now();
    const startedAtMs = Date.now();
    const predicted = this.costs.predict(size, batch.rows, sentAt, beside);
    for (const request of requests) request.sentAtMs = sentAt;
    this.#inFlight.set(batch, sentAt + (predicted ?? 0));
    if (exclusive) this.#exclusive = true;
    const outcome = await this.#executor.run(batch, {
      expectedMs: predicted ?? 0,
      isInTheWay: () => this.#isInTheWay(batch),
    });
    run.end();
    if (exclusive) this.#exclusive = false;
    this.#inFlight.delete(batch);
    const now = performance.now();
    const elapsedMs = now - sentAt - (outcome.kind === 'ok' ? (outcome.roomMs ?? 0) : 0);
    if (outcome.kind === 'ok') {
      this.costs.observe(size, batch.rows, elapsedMs, now, beside);
      this.#rowLimits.learn(requests[0]?.tensors.bucket ?? '', batch.rows, outcome.outputs);
    }
    this.#options.record(batch, outcome);
    reportStopped(this.#options.model, batch, outcome, now - sentAt);
    diagnostics.batchEnded.publish({
      model: this.#options.model,
      calls: requests.map(({ call }) => call),
      rows: batch.rows,
      reason,
      outcome: outcomeOf(outcome),
      startedAtMs,
      elapsedMs,
      predictedMs: predicted,
      inputMs: outcome.kind === 'ok' ? outcome.inputMs : now - sentAt,
      computeMs: outcome.kind === 'ok' ? outcome.computeMs : 0,
      outputMs: outcome.kind === 'ok' ? outcome.outputMs : 0,
    });
    this.#prepared.push(endBatch(batch, outcome, this.#options));
    this.#pumpSoon();
  }

  /** No caller waits for the batch any more, and requests wait for an instance, or a close waits for the scheduler. */
  #isInTheWay({ requests }: Batch): boolean {
    if (!requests.every(({ settled }) => settled)) return false;
    if (this.#drainWaiters.length > 0) return true;
    if (this.queuedRequests === 0) return false;
    // With an idle instance, a request waits for a queue delay, for cores, or for nothing to run beside it.
    return this.#executor.idle === 0 || this.#exclusive || this.#share.isWaiting || this.#prepared.requests > 0;
  }

  #predictBatch(requests: readonly QueuedRequest[], now: number): number | undefined {
    return this.costs.predict(paddedSize(requests), rowsOf(requests), now, this.#share.beside);
  }

  /** Milliseconds that a batch of such rows takes if it starts now; `undefined` where that is not known. */
  #predict({ size }: RequestLoad, rows: number, now: number): number | undefined {
    return this.costs.predict(size, rows, now, this.#share.beside);
  }

  /** The fastest run of such a batch that was ever seen. */
  #fastest({ size }: RequestLoad, rows: number): number | undefined {
    return this.costs.fastest(size, rows);
  }
}

function byBucket(requests: readonly QueuedRequest[]): QueuedRequest[][] {
  const buckets = new Map<string, QueuedRequest[]>();
  for (const request of requests) {
    const bucket = buckets.get(request.tensors.bucket);
    if (bucket === undefined) buckets.set(request.tensors.bucket, [request]);
    else bucket.push(request);
  }
  return [...buckets.values()];
}
