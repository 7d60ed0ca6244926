/**
 * The shell around the batch decision: it owns the queue and the timer of one model version, and is handed the function
 * that runs a batch.
 *
 * Q1: each request settles exactly once.
 * Q2: the queue changes only in `enqueue`, `#forget`, `#sweep`, `#pump`, `#awaitInstance` and `abandon`.
 * Q3: at most one timer is armed, for the earliest moment at which the decision may change by itself.
 * Q4: an expired, hopeless or cancelled request never enters a batch.
 * Q5: a batch never exceeds the maximum rows, and mixes neither shapes nor versions.
 * Q6: while a batch runs that is `exclusive`, nothing runs beside it.
 * Q7: a batch takes requests of one bucket in order of their turns, and passes over only those that would be late in it.
 * Q8: a policy acts on a request in the moment in which its time is over, whatever is running then.
 * Q9: while no instance lives, a request waits as long as one can be back within its deadline; then it is refused, before that
 *     deadline.
 * Q10: no batch is sent without a run of its device, and a turn on the device that is not used is passed on.
 */

import type { Call, CancelReason } from '../accept/call.ts';
import type { InferTensors } from '../admit/infer-tensors.ts';
import type { RequestTerms } from '../admit/request-terms.ts';
import { InferError } from '../errors.ts';
import { diagnostics, type SendReason } from '../ops/diagnostics.ts';
import type { Batch } from './batch.ts';
import { type BatchEndOptions, endBatch, outcomeOf } from './batch-end.ts';
import type { Batcher } from './batcher.ts';
import { Device, type DeviceRun, type DeviceShare, type ShareOptions } from './device.ts';
import { decide } from './dynamic-batcher.ts';
import { type Down, isWorthWaiting, runnerLost, waitsUntilMs } from './gate.ts';
import { LatencyModel } from './latency-model.ts';
import { Occupancy } from './occupancy.ts';
import { batchOutputLimit, byteLengthOf } from './output-limit.ts';
import { type Prepared, PreparedBatches } from './prepared-batches.ts';
import { withJitter } from './pushback.ts';
import { type QueuePolicies, timeLimitMs, turnOf } from './queue-policy.ts';
import type { InferOutputs, OutputTensor, QueuedRequest } from './queued-request.ts';
import { breakerOpen, cancelled, cannotMeetDeadline, expired, shed, waitsTooLong } from './refusals.ts';
import { RequestQueue } from './request-queue.ts';
import type { Executor, RunOutcome } from './run-outcome.ts';
import { settle } from './settlement.ts';
import { reportStopped } from './stopped-run.ts';
import { type BatchPolicy, type Bucket, isHopeless } from './waiting.ts';

export interface SchedulerOptions extends BatchEndOptions {
  readonly policy: BatchPolicy;
  readonly queues: QueuePolicies;
  /** Bytes of tensors that may wait. */
  readonly maxQueueBytes: number;
  /** The device that its instances run on; absent where they share none with other versions. */
  readonly place?: DevicePlace;
  /** Told of every batch that ended. */
  readonly record: (batch: Batch, outcome: RunOutcome) => void;
}

export interface DevicePlace extends Omit<ShareOptions, 'wake'> {
  readonly device: Device;
}

/** Shapes whose latency is remembered: those that were run last. */
const MAX_LATENCY_MODELS = 64;
/** The longest that Node's timers wait; one that is set for longer fires at once. */
const MAX_TIMER_MS = 0x7fff_ffff;

const always = (): boolean => true;

export class Scheduler implements Batcher {
  readonly occupancy: Occupancy;
  readonly #options: SchedulerOptions;
  readonly #executor: Executor;
  readonly #share: DeviceShare;
  readonly #queue: RequestQueue;
  readonly #prepared = new PreparedBatches();
  readonly #latencies = new Map<string, LatencyModel>();
  /** The most rows of a batch, by bucket, where the size of outputs allows fewer than the policy. */
  readonly #rowLimits = new Map<string, number>();
  /** When the batches in flight are expected back. */
  readonly #inFlight = new Map<Batch, number>();
  #exclusive = false;
  #timer: NodeJS.Timeout | undefined;
  #pumpPending = false;
  /** Who waits for the scheduler to be quiet. */
  readonly #drainWaiters: (() => void)[] = [];

  constructor(options: SchedulerOptions, executor: Executor) {
    this.#options = options;
    this.#executor = executor;
    const { device, cores, background } = options.place ?? { device: new Device(), cores: 1, background: false };
    this.#share = device.join({ cores, background, wake: () => this.#pumpSoon() });
    this.#queue = new RequestQueue(options.queues, options.maxQueueBytes);
    this.occupancy = new Occupancy(options.policy.maxRows * executor.instances);
  }

  /** Requests that wait. */
  get queuedRequests(): number {
    return this.#queue.requests + this.#prepared.requests;
  }

  get queuedRows(): number {
    return this.#queue.rows;
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
   * @throws InferError `queue_full`, `breaker_open`, `runner_lost` or `cannot_meet_deadline` at once; later also
   *   `deadline_exceeded`, `cancelled`, `invalid_data`, `runner_killed_twice` or `internal`.
   */
  enqueue(tensors: InferTensors, call: Call, terms: RequestTerms): Promise<InferOutputs> {
    return new Promise((resolve, reject) => {
      const now = performance.now();
      const { queues } = this.#options;
      const level = queues.levelOf(terms);
      const policy = queues.at(level);
      const limitMs = timeLimitMs(policy, terms);
      const postpones = policy.timeoutAction === 'delay';
      const expiresAt = postpones ? call.deadline : Math.min(call.deadline, now + limitMs);
      const request: QueuedRequest = {
        tensors,
        call,
        rows: tensors.rows,
        // An answer that is ready at the last moment arrives after it, and the work was for nothing.
        deadline: expiresAt - call.wayBackMs,
        expiresAt,
        arrivalMs: now,
        level,
        turn: turnOf(level, now),
        flow: this,
        suspect: false,
        sentAtMs: 0,
        settled: false,
        stopTimer: undefined,
        occupancy: undefined,
        resolve,
        reject,
      };
      const refusal = call.cancelled ? cancelled('client') : this.#refusal(request, now);
      if (refusal !== undefined) {
        reject(refusal);
        return;
      }
      try {
        this.#queue.push(request);
      } catch (error) {
        const full = InferError.from(error);
        reject(new InferError(full.reason, full.message, { pushback: withJitter(this.#drainMs(request, now)) }));
        return;
      }
      request.occupancy = this.occupancy;
      this.occupancy.enter(request.rows, now);
      // Bound, no arrow: V8 keeps a closure that outlives a collection of the young objects until it collects the old ones,
      // and with this one the whole request.
      call.onCancel = this.#forget.bind(this, request);
      // The transport watches the call's deadline; only a shorter time of the request's own needs a timer.
      if (now + limitMs < call.deadline && limitMs <= MAX_TIMER_MS) {
        // What is put behind all others does not change when something can be sent, only what.
        const act = (): unknown => (postpones ? this.#queue.postpone(request) : this.#forget(request, 'deadline'));
        const timer = setTimeout(act, limitMs);
        request.stopTimer = () => clearTimeout(timer);
      }
      this.#pumpSoon();
    });
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

  /** Learns how long a batch took: one from the queue, or a warm-up run. */
  observe(bucket: string, rows: number, elapsedMs: number): void {
    const latency = this.#latencies.get(bucket) ?? new LatencyModel();
    this.#latencies.delete(bucket);
    this.#latencies.set(bucket, latency);
    const oldest = this.#latencies.keys().next();
    if (this.#latencies.size > MAX_LATENCY_MODELS && !oldest.done) this.#latencies.delete(oldest.value);
    latency.observe(rows, elapsedMs, performance.now());
  }

  /** Learns from a batch's outputs how many rows a batch of the bucket may have so that its outputs are not too large. */
  #learnSize(bucket: string, rows: number, outputs: readonly OutputTensor[]): void {
    const { maxOutputBytes, policy } = this.#options;
    const limit = Math.floor(batchOutputLimit(maxOutputBytes) / (byteLengthOf(outputs) / rows));
    if (!(limit < policy.maxRows)) {
      if (this.#rowLimits.size > 0) this.#rowLimits.delete(bucket);
      return;
    }
    if (this.#rowLimits.size >= MAX_LATENCY_MODELS && !this.#rowLimits.has(bucket)) return;
    this.#rowLimits.set(bucket, Math.max(1, limit));
  }

  /** Why the request cannot be taken now, if so. */
  #refusal(request: QueuedRequest, now: number): InferError | undefined {
    const { gate } = this.#executor;
    if (gate.kind === 'open') return breakerOpen(this.#options.model, gate.retryAfterMs);
    if (request.expiresAt <= now) return expired();
    if (gate.kind === 'down' && !isWorthWaiting(request, gate, now)) return runnerLost(this.#options.model, gate);
    const alone = this.#predict(request.tensors.bucket, request.rows, now);
    if (request.deadline === Number.POSITIVE_INFINITY || alone === undefined) return undefined;
    const left = request.deadline - now;
    if (alone > left) return cannotMeetDeadline(alone, left);
    const wait = this.#drainMs(request, now);
    return wait + alone <= left ? undefined : waitsTooLong(wait, alone, left);
  }

  /** About how long until what is in flight, and what goes before the request, is worked off, in milliseconds; 0 where that is not known. */
  #drainMs({ level, tensors: { bucket } }: QueuedRequest, now: number): number {
    const rowsBefore = this.#queue.rowsBefore(level);
    if (this.#executor.idle > 0 && rowsBefore === 0) return 0;
    let soonest = Number.POSITIVE_INFINITY;
    for (const end of this.#inFlight.values()) soonest = Math.min(soonest, end);
    const running = soonest === Number.POSITIVE_INFINITY ? 0 : Math.max(0, soonest - now);
    const { maxRows } = this.#options.policy;
    const full = this.#predict(bucket, maxRows, now) ?? 0;
    return running + (rowsBefore * full) / maxRows / this.#executor.instances;
  }

  #forget(request: QueuedRequest, reason: CancelReason): void {
    this.#queue.remove(request);
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
      this.#sweep(now);
      const keys = [...this.#queue.buckets.keys()];
      const buckets = keys.map((key) => this.#bucket(key, now));
      const runs = Math.min(this.#executor.idle, this.#share.room);
      const decision = decide(buckets, this.#options.policy, runs, now);
      if (decision.kind === 'idle') return;
      if (decision.kind === 'wait') {
        this.#timer = setTimeout(() => this.#pump(), Math.min(MAX_TIMER_MS, Math.max(0, decision.until - now)));
        return;
      }
      const { requests, reason } = decision;
      const run = this.#share.start(this.#predictBatch(requests, now));
      if (run === undefined) return;
      for (const request of requests) this.#queue.remove(request);
      void this.#send({ requests, exclusive: false }, reason, run);
    }
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

  #sweep(now: number): void {
    const hopeless = this.#queue.sweep((request) =>
      isHopeless(request, { predict: (rows) => this.#predict(request.tensors.bucket, rows, now) }, now),
    );
    for (const request of hopeless) settle(request, request.expiresAt <= now ? expired() : shed());
  }

  #bucket(key: string, now: number): Bucket<QueuedRequest> {
    return {
      waiting: this.#queue.buckets.get(key) ?? [],
      maxRows: this.#rowLimits.get(key),
      predict: (rows) => this.#predict(key, rows, now),
    };
  }

  /** One batch from its start to what follows from its end. Never rejects. */
  async #send({ requests, exclusive }: Prepared, reason: SendReason, run: DeviceRun): Promise<void> {
    const batch: Batch = { requests, reason, rows: rowsOf(requests) };
    const key = requests[0]?.tensors.bucket ?? '';
    const sentAt = performance.now();
    const startedAtMs = Date.now();
    const predicted = this.#predict(key, batch.rows, sentAt);
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
    if (outcome.kind === 'ok') {
      this.observe(key, batch.rows, now - sentAt - (outcome.roomMs ?? 0));
      this.#learnSize(key, batch.rows, outcome.outputs);
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
      inputMs: outcome.kind === 'ok' ? outcome.inputMs : now - sentAt,
      computeMs: outcome.kind === 'ok' ? outcome.computeMs : 0,
      outputMs: outcome.kind === 'ok' ? outcome.outputMs : 0,
    });
    this.#prepared.push(endBatch(batch, outcome, this.#options));
    this.#pumpSoon();
  }

  /** No caller waits for the batch any more, and requests wait for an instance, or somebody for the scheduler to be quiet. */
  #isInTheWay({ requests }: Batch): boolean {
    if (!requests.every(({ settled }) => settled)) return false;
    if (this.#drainWaiters.length > 0) return true;
    if (this.queuedRequests === 0) return false;
    // With an idle instance, a request waits for a queue delay, for cores, or for nothing to run beside it.
    return this.#executor.idle === 0 || this.#exclusive || this.#share.isWaiting || this.#prepared.requests > 0;
  }

  #predictBatch(requests: readonly QueuedRequest[], now: number): number | undefined {
    return this.#predict(requests[0]?.tensors.bucket ?? '', rowsOf(requests), now);
  }

  /** Milliseconds that a batch of a bucket takes; `undefined` where that is not known. */
  #predict(bucket: string, rows: number, now: number): number | undefined {
    return this.#latencies.get(bucket)?.predict(rows, now);
  }
}

function rowsOf(requests: readonly { readonly rows: number }[]): number {
  return requests.reduce((sum, { rows }) => sum + rows, 0);
}
