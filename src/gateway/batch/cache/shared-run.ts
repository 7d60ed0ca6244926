/**
 * One run for several equal requests.
 *
 * SHARE-1: each request settles exactly once, at the latest when its own time is over.
 * SHARE-2: a request that leaves takes nothing from the others; when the last has left, the run is given up.
 * SHARE-3: the run has the deadline of the request that started it. If it fails because its time ran out, it starts again for the
 *     requests with more time.
 */

import type { Call, CancelReason, Deadline, Trailers } from '../../accept/call.ts';
import { cancelled } from '../../accept/cancellation.ts';
import { limit, reject, resolve, type Waiter, watch } from '../../accept/waiter.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { RequestTerms } from '../../admit/request-terms.ts';
import { InferError, type Reason, type StatusCode } from '../../errors.ts';
import type { Batcher } from '../batcher.ts';
import type { InferOutputs } from '../queued-request.ts';

export interface EqualRequest {
  readonly call: Call;
  readonly arrivalMs: number;
  readonly expiresAt: number;
  /** How long it took to find that its answer is not there yet. */
  readonly lookupMs: number;
}

interface Sharer extends EqualRequest, Waiter<InferOutputs> {}

/** A request, its call, and the callback for its outcome. */
export interface SharedRunOptions {
  readonly model: string;
  readonly tensors: InferTensors;
  readonly terms: RequestTerms;
  readonly next: Batcher;
  readonly keep: (outputs: InferOutputs['outputs']) => void;
  /** No request may join any more. */
  readonly close: () => void;
}

/** Failures that say something of one request's time, and nothing of an equal one's. */
const OF_ITS_OWN_TIME: ReadonlySet<Reason> = new Set([
  'deadline_exceeded',
  'cannot_meet_deadline',
  'deadline_too_short',
  'overloaded',
  'runner_lost',
]);

export class SharedRun {
  readonly tensors: InferTensors;
  readonly #options: SharedRunOptions;
  /** In the order of arrival. */
  readonly #sharers = new Set<Sharer>();
  #call: SharedCall | undefined;

  constructor(options: SharedRunOptions) {
    this.tensors = options.tensors;
    this.#options = options;
  }

  /** Requests that share a run have equal terms, so that none waits at a less urgent level, or for less time, than it asked for. */
  isFor({ priority, timeoutMs }: RequestTerms): boolean {
    const { terms } = this.#options;
    return priority === terms.priority && timeoutMs === terms.timeoutMs;
  }

  /** The first to join starts the run. */
  join(request: EqualRequest): Promise<InferOutputs> {
    return new Promise((resolve, reject) => {
      const { call, arrivalMs, expiresAt, lookupMs } = request;
      const timer = undefined;
      const sharer: Sharer = { call, arrivalMs, expiresAt, lookupMs, settled: false, timer, resolve, reject };
      this.#sharers.add(sharer);
      watch(sharer, this.#leave);
      limit(sharer, expiresAt - arrivalMs, arrivalMs, this.#leave);
      if (this.#call === undefined) this.#startFor(sharer);
    });
  }

  #startFor(sharer: Sharer): void {
    const { model, tensors, terms, next } = this.#options;
    const call = new SharedCall(sharer.call, sharer.expiresAt, model);
    this.#call = call;
    next.enqueue(tensors, call, terms).then(
      (answer) => this.#answer(answer),
      (error: unknown) => this.#fail(sharer, InferError.from(error)),
    );
  }

  readonly #leave = (sharer: Sharer, reason: CancelReason): void => {
    this.#sharers.delete(sharer);
    if (!reject(sharer, cancelled(reason)) || this.#sharers.size > 0) return;
    this.#options.close();
    this.#call?.cancel(reason);
  };

  #answer({ outputs, timing }: InferOutputs): void {
    this.#options.close();
    const now = performance.now();
    if (this.#sharers.size > 0) this.#options.keep(outputs);
    const keptMs = performance.now() - now;
    let first = true;
    for (const sharer of this.#sharers) {
      this.#sharers.delete(sharer);
      const { arrivalMs, lookupMs } = sharer;
      // The run is charged to one of them: to the first that is still there.
      if (first) resolve(sharer, { outputs, timing: { ...timing, cache: { outcome: 'miss', ms: lookupMs + keptMs } } });
      else {
        const waited = { queueMs: now - arrivalMs - lookupMs, inputMs: 0, computeMs: 0, outputMs: 0, batchRows: 0 };
        resolve(sharer, { outputs, timing: { ...waited, cache: { outcome: 'joined', ms: lookupMs } } });
      }
      first = false;
    }
  }

  #fail(asked: Sharer, error: InferError): void {
    if (OF_ITS_OWN_TIME.has(error.reason)) {
      this.#sharers.delete(asked);
      reject(asked, error);
      const [next] = this.#sharers;
      if (next !== undefined) {
        this.#startFor(next);
        return;
      }
    }
    this.#options.close();
    for (const sharer of this.#sharers) {
      this.#sharers.delete(sharer);
      reject(sharer, error);
    }
  }
}

/** Stands for the calls that share a run: it is cancelled when none of them is left. */
class SharedCall implements Call {
  readonly deadline: Deadline;
  readonly namesDeadline: boolean;
  /** Attributes the batch to the call that started it. */
  readonly step: NonNullable<Call['step']>;
  cancelled = false;
  onCancel: ((reason: CancelReason) => void) | undefined;
  readonly #first: Call;

  constructor(first: Call, deadline: Deadline, model: string) {
    this.deadline = deadline;
    this.namesDeadline = first.namesDeadline || deadline < first.deadline;
    this.step = first.step ?? { of: first, ensemble: model };
    this.#first = first;
  }

  get path(): string {
    return this.#first.path;
  }

  get wayBackMs(): number {
    return this.#first.wayBackMs;
  }

  cancel(reason: CancelReason): void {
    this.cancelled = true;
    this.onCancel?.(reason);
  }

  get(name: string): string | Uint8Array | undefined {
    return this.#first.get(name);
  }

  keys(): Iterable<string> {
    return this.#first.keys();
  }

  fail(code: StatusCode, text: string, trailers?: Trailers, failure?: InferError): void {
    this.#first.fail(code, text, trailers, failure);
  }
}
