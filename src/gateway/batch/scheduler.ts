/**
 * The shell around the batch decision: it owns the queue and the timer of one model version, and is handed the function
 * that runs a batch.
 *
 * Q1: each request settles exactly once.
 * Q2: the queue changes only in `enqueue`, `#forget`, `#sweep`, `#pump`, `#awaitInstance` and `abandon`.
 * Q3: at most one timer is armed, for the earliest moment at which the decision may change by itself.
 * Q4: an expired, hopeless or cancelled request never enters a batch.
 * Q5: a batch never exceeds the maximum rows, and mixes neither shapes nor versions.
 * Q6: after a crash the requests of the batch run once more, each by itself and with nothing beside it, so that a second
 *     crash names its culprit and hurts nobody else.
 * Q7: of what waits in one bucket nothing is sent before what has an earlier turn.
 * Q8: a policy acts on a request in the moment in which its time is over, whatever is running then.
 * Q9: while no instance lives, a request waits as long as one can be back within its deadline; then it is refused, before that
 *     deadline.
 */

import type { Call, CancelReason } from '../accept/call.ts';
import type { BatchAxis, InferTensors } from '../admit/infer-tensors.ts';
import type { RequestTerms } from '../admit/request-terms.ts';
import { InferError } from '../errors.ts';
import { type BatchOutcome, diagnostics, type ModelRef, type SendReason } from '../ops/diagnostics.ts';
import { type Batch, type OutputAxes, scatter } from './batch.ts';
import type { Batcher } from './batcher.ts';
import { type BatchPolicy, type Bucket, decide, isHopeless } from './dynamic-batcher.ts';
import { type Down, type Gate, isWorthWaiting, runnerLost, waitsUntilMs } from './gate.ts';
import { LatencyModel } from './latency-model.ts';
import { Occupancy } from './occupancy.ts';
import { batchOutputLimit, byteLengthOf, outputsExceed, sizeOf } from './output-limit.ts';
import { withJitter } from './pushback.ts';
import { type QueuePolicies, timeLimitMs, turnOf } from './queue-policy.ts';
import type { InferOutputs, OutputTensor, QueuedRequest } from './queued-request.ts';
import { RequestQueue } from './request-queue.ts';

/** What came of a batch. */
export type RunOutcome =
  | {
      readonly kind: 'ok';
      readonly outputs: readonly OutputTensor[];
      readonly inputMs: number;
      readonly computeMs: number;
      readonly outputMs: number;
      /** How long it waited for room before it ran, where it did. */
      readonly roomMs?: number;
    }
  /** The model refused the values of at least one of its rows. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Its outputs have more bytes than they may, or the model found no memory for it: `message` is for the caller. */
  | {
      readonly kind: 'exceeded';
      readonly message: string;
      /** `process`: other batches ran beside it, and it may have been one of those. */
      readonly by: 'batch' | 'process';
    }
  /** The directory of the mailboxes has no room for it, or for its outputs; `isLasting`: nor would it if it were empty. */
  | { readonly kind: 'no_room'; readonly message: string; readonly isLasting: boolean }
  /** A fault of ours: nothing is known of the rows. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The runner died under it, or was killed because it gave no answer in time. */
  | { readonly kind: 'crashed' | 'timed_out'; readonly cause: string }
  /** It was not run: the circuit breaker is open. */
  | { readonly kind: 'rejected'; readonly retryAfterMs: number };

/** Runs batches on the instances of one model version. */
export interface Executor {
  readonly instances: number;
  /** Instances that would take a batch now. */
  readonly idle: number;
  readonly gate: Gate;
  /** Takes an idle instance at once; never rejects. `limitMs`: no run takes longer, its runner is killed then. */
  run(batch: Batch, limitMs: number): Promise<RunOutcome>;
}

export interface SchedulerOptions {
  readonly model: ModelRef;
  readonly policy: BatchPolicy;
  readonly queues: QueuePolicies;
  /** Bytes of tensors that may wait. */
  readonly maxQueueBytes: number;
  readonly axis: BatchAxis;
  /** The outputs whose rows do not lie on axis 0. */
  readonly outputAxes?: OutputAxes;
  /** Bytes that the outputs of one request may have. */
  readonly maxOutputBytes: number;
  /** No run is ever given more time than this, in milliseconds. */
  readonly maxRunMs: number;
  /** Told of every batch that ended. */
  readonly record: (batch: Batch, outcome: RunOutcome) => void;
}

/** A batch that was formed already: half of one that failed, or a request to be replayed. */
interface Prepared {
  readonly requests: readonly QueuedRequest[];
  /** Nothing else may run beside it. */
  readonly exclusive: boolean;
}

/** A run is given this many times its predicted time, and never less than the floor, before its runner counts as hung. */
const RUN_PATIENCE = 20;
const RUN_PATIENCE_FLOOR_MS = 2_000;
/** Shapes whose latency is remembered: those that were run last. */
const MAX_LATENCY_MODELS = 64;
/** The longest that Node's timers wait; one that is set for longer fires at once. */
const MAX_TIMER_MS = 0x7fff_ffff;
/** Where the directory of the mailboxes is full, by batches that run or by files of others. */
const NO_ROOM_PUSHBACK_MS = 200;

/** Share of a caller's time that is kept for the way back, and its most, in milliseconds. */
const WAY_BACK_SHARE = 0.15;
const MAX_WAY_BACK_MS = 15;

export class Scheduler implements Batcher {
  readonly occupancy: Occupancy;
  readonly #options: SchedulerOptions;
  readonly #executor: Executor;
  readonly #queue: RequestQueue;
  readonly #prepared: Prepared[] = [];
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
    this.#queue = new RequestQueue(options.queues, options.maxQueueBytes);
    this.occupancy = new Occupancy(options.policy.maxRows * executor.instances);
  }

  /** Requests that wait. */
  get queuedRequests(): number {
    return this.#queue.requests + this.#prepared.reduce((sum, { requests }) => sum + requests.length, 0);
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
        deadline: expiresAt - wayBackMs(expiresAt - now),
        expiresAt,
        arrivalMs: now,
        level,
        turn: turnOf(level, now),
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
    for (const request of this.#queue.sweep(() => true)) settle(request, error);
    for (const { requests } of this.#prepared.splice(0)) for (const request of requests) settle(request, error);
    this.#tellDrained();
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
    if (alone > left) {
      const text = `cannot be answered in time: the model needs about ${format(alone)}, ${format(left)} are left`;
      return new InferError('cannot_meet_deadline', text, { pushback: 'never' });
    }
    const wait = this.#drainMs(request, now);
    if (wait + alone <= left) return undefined;
    const text = `cannot be answered in time: about ${format(wait)} of work wait before it and it needs ${format(alone)}, ${format(left)} are left`;
    return new InferError('cannot_meet_deadline', text, { pushback: withJitter(wait) });
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
    if (gate.kind === 'open') {
      this.abandon(breakerOpen(this.#options.model, gate.retryAfterMs));
      return;
    }
    if (gate.kind === 'down') {
      this.#awaitInstance(gate);
      return;
    }
    while (this.#executor.idle > 0 && !this.#exclusive) {
      const now = performance.now();
      const next = this.#nextPrepared(now);
      if (next === 'wait') return;
      if (next !== undefined) {
        void this.#send(next, 'alone');
        continue;
      }
      this.#sweep(now);
      const keys = [...this.#queue.buckets.keys()];
      const buckets = keys.map((key) => this.#bucket(key, now));
      const decision = decide(buckets, this.#options.policy, this.#executor.idle, now);
      if (decision.kind === 'idle') return;
      if (decision.kind === 'wait') {
        this.#timer = setTimeout(() => this.#pump(), Math.min(MAX_TIMER_MS, Math.max(0, decision.until - now)));
        return;
      }
      const key = keys[decision.bucket] ?? '';
      for (const request of this.#queue.take(key, decision.shed)) settle(request, shed());
      void this.#send({ requests: this.#queue.take(key, decision.count), exclusive: false }, decision.reason);
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
    const prepared = this.#prepared.splice(0).map(({ requests, exclusive }) => {
      const waiting = requests.filter((request) => !request.settled);
      const lost = waiting.filter(isLost);
      return { lost, exclusive, requests: waiting.filter((request) => !lost.includes(request)) };
    });
    this.#prepared.push(...prepared.filter(({ requests }) => requests.length > 0));
    for (const request of [...prepared.flatMap(({ lost }) => lost), ...this.#queue.sweep(isLost)]) {
      settle(request, runnerLost(this.#options.model, gate));
    }
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#pumpSoon(), Math.min(MAX_TIMER_MS, Math.max(0, nextMs - now)));
  }

  /** The next batch that was formed already, or `wait` where it must wait for what is running. */
  #nextPrepared(now: number): Prepared | 'wait' | undefined {
    for (let next = this.#prepared[0]; next !== undefined; next = this.#prepared[0]) {
      const requests = next.requests.filter((request) => !request.settled);
      for (const request of requests) if (request.expiresAt <= now) settle(request, expired());
      const live = requests.filter((request) => !request.settled);
      if (live.length > 0 && next.exclusive && this.#inFlight.size > 0) return 'wait';
      this.#prepared.shift();
      if (live.length > 0) return { requests: live, exclusive: next.exclusive };
    }
    return undefined;
  }

  #sweep(now: number): void {
    const hopeless = this.#queue.sweep((request) =>
      isHopeless(request, { predict: (rows) => this.#predict(request.tensors.bucket, rows, now) }, now),
    );
    for (const request of hopeless) settle(request, request.expiresAt <= now ? expired() : shed());
  }

  #bucket(key: string, now: number): Bucket {
    return {
      waiting: this.#queue.buckets.get(key) ?? [],
      maxRows: this.#rowLimits.get(key),
      predict: (rows) => this.#predict(key, rows, now),
    };
  }

  /** One batch from its start to what follows from its end. Never rejects. */
  async #send({ requests, exclusive }: Prepared, reason: SendReason): Promise<void> {
    const batch: Batch = { requests, reason, rows: requests.reduce((sum, { rows }) => sum + rows, 0) };
    const key = requests[0]?.tensors.bucket ?? '';
    const sentAt = performance.now();
    const startedAtMs = Date.now();
    const predicted = this.#predict(key, batch.rows, sentAt);
    for (const request of requests) request.sentAtMs = sentAt;
    this.#inFlight.set(batch, sentAt + (predicted ?? 0));
    if (exclusive) this.#exclusive = true;
    const outcome = await this.#executor.run(batch, this.#runLimit(predicted));
    if (exclusive) this.#exclusive = false;
    this.#inFlight.delete(batch);
    const now = performance.now();
    if (outcome.kind === 'ok') {
      this.observe(key, batch.rows, now - sentAt - (outcome.roomMs ?? 0));
      this.#learnSize(key, batch.rows, outcome.outputs);
    }
    this.#options.record(batch, outcome);
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
    this.#conclude(batch, outcome);
    this.#pumpSoon();
  }

  #runLimit(predictedMs: number | undefined): number {
    const patience = predictedMs === undefined ? Number.POSITIVE_INFINITY : predictedMs * RUN_PATIENCE;
    return Math.min(this.#options.maxRunMs, Math.max(RUN_PATIENCE_FLOOR_MS, patience));
  }

  #conclude(batch: Batch, outcome: RunOutcome): void {
    switch (outcome.kind) {
      case 'ok':
        this.#answer(batch, outcome);
        break;
      case 'refused':
        this.#blame(batch, refused(outcome.message));
        break;
      case 'no_room':
        this.#blame(batch, noRoom(outcome));
        break;
      case 'exceeded':
        if (outcome.by === 'batch') this.#blame(batch, new InferError('limit_exceeded', outcome.message));
        else this.#replay(batch, new InferError('limit_exceeded', outcome.message));
        break;
      case 'crashed':
      case 'timed_out':
        this.#replay(batch, killedTwice(outcome.cause));
        break;
      case 'rejected':
        settleAll(batch, breakerOpen(this.#options.model, outcome.retryAfterMs));
        break;
      case 'failed':
        settleAll(batch, new InferError('internal', 'internal error', { cause: outcome.error }));
        break;
    }
  }

  #answer(batch: Batch, { outputs, inputMs, computeMs, outputMs }: Extract<RunOutcome, { kind: 'ok' }>): void {
    let parts: OutputTensor[][];
    try {
      parts = scatter(batch, outputs, this.#options.axis, this.#options.outputAxes);
    } catch (error) {
      settleAll(batch, new InferError('internal', 'internal error', { cause: error }));
      return;
    }
    const { maxOutputBytes } = this.#options;
    const mayExceed = byteLengthOf(outputs) > maxOutputBytes;
    for (const [index, request] of batch.requests.entries()) {
      if (request.settled) continue;
      const own = parts[index] ?? [];
      if (mayExceed && byteLengthOf(own) > maxOutputBytes) {
        settle(request, new InferError('limit_exceeded', outputsExceed(own.map(sizeOf), maxOutputBytes)));
        continue;
      }
      conclude(request);
      const queueMs = request.sentAtMs - request.arrivalMs;
      request.resolve({
        outputs: own,
        timing: { queueMs, inputMs, computeMs, outputMs, batchRows: batch.rows },
        requestIsSpent: true,
      });
    }
  }

  /** A batch that cannot be run is halved until the request is found that it is about. */
  #blame(batch: Batch, error: InferError): void {
    const [only] = batch.requests;
    if (batch.requests.length === 1 && only !== undefined) {
      settle(only, error);
      return;
    }
    const middle = Math.ceil(batch.requests.length / 2);
    this.#prepared.push(
      { requests: batch.requests.slice(0, middle), exclusive: false },
      { requests: batch.requests.slice(middle), exclusive: false },
    );
  }

  /** @param error for a request that is replayed already */
  #replay(batch: Batch, error: InferError): void {
    for (const request of batch.requests) {
      if (request.settled) continue;
      if (request.suspect) {
        settle(request, error);
        continue;
      }
      request.suspect = true;
      this.#prepared.push({ requests: [request], exclusive: true });
    }
  }

  /** Milliseconds that a batch of a bucket takes; `undefined` where that is not known. */
  #predict(bucket: string, rows: number, now: number): number | undefined {
    return this.#latencies.get(bucket)?.predict(rows, now);
  }
}

/**
 * Of the time that a caller grants, what is kept for the way back: encoding, the socket, and the caller's own wait for its
 * turn. An answer that is ready at the last moment arrives after it, and the work was for nothing.
 */
function wayBackMs(granted: number): number {
  return Math.min(MAX_WAY_BACK_MS, Math.max(0, granted) * WAY_BACK_SHARE);
}

/** As metrics and traces tell it. */
function outcomeOf({ kind }: RunOutcome): BatchOutcome {
  switch (kind) {
    case 'rejected':
    case 'no_room':
      return 'failed';
    case 'exceeded':
      return 'refused';
    default:
      return kind;
  }
}

function conclude(request: QueuedRequest): void {
  request.settled = true;
  request.call.onCancel = undefined;
  request.stopTimer?.();
  request.occupancy?.leave(request.rows);
}

function settle(request: QueuedRequest, error: InferError): void {
  if (request.settled) return;
  conclude(request);
  request.reject(error);
}

function settleAll(batch: Batch, error: InferError): void {
  for (const request of batch.requests) settle(request, error);
}

export function cancelled(reason: CancelReason): InferError {
  return reason === 'deadline' ? expired() : new InferError('cancelled', 'the caller cancelled the request');
}

function expired(): InferError {
  return new InferError('deadline_exceeded', 'the deadline passed before the request was answered');
}

function shed(): InferError {
  const text = 'can no longer be answered in time: given up before it ran';
  return new InferError('cannot_meet_deadline', text, { pushback: 'never' });
}

function killedTwice(cause: string): InferError {
  const text = `the model's process ended twice while it ran this request alone (${cause})`;
  return new InferError('runner_killed_twice', text);
}

function refused(message: string): InferError {
  return new InferError('invalid_data', `the model refused this input: ${explain(message)}`);
}

function noRoom({ message, isLasting }: Extract<RunOutcome, { kind: 'no_room' }>): InferError {
  const text = `the server has no room for this request: ${message}`;
  return isLasting
    ? new InferError('limit_exceeded', text)
    : new InferError('queue_full', text, { pushback: withJitter(NO_ROOM_PUSHBACK_MS) });
}

function breakerOpen({ name, version }: ModelRef, retryAfterMs: number): InferError {
  const text = `model '${name}' version ${version} failed repeatedly and is given a pause: try another replica, or again in ${format(retryAfterMs)}`;
  return new InferError('breaker_open', text, { pushback: withJitter(retryAfterMs) });
}

function format(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** The part of ONNX Runtime's text that is about the input: without its own source paths and addresses. */
function explain(message: string): string {
  const status = /Status Message: (.*)/s.exec(message)?.[1] ?? message;
  return status.replace(/\S*\/\S+\.(?:cc|h|cpp):\d+\s*/g, '').trim();
}
