/** Answers a request that came before without running the model, and equal requests that are under way with one run. */

import type { Call } from '../../accept/call.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { RequestTerms } from '../../admit/request-terms.ts';
import type { InferError } from '../../errors.ts';
import type { Batcher } from '../batcher.ts';
import type { Forecast, RequestSize } from '../forecast.ts';
import { type QueuePolicies, timeLimitMs } from '../queue-policy.ts';
import type { InferOutputs } from '../queued-request.ts';
import { hashOf, isSame, ResponseStore } from './response-store.ts';
import { SharedRun } from './shared-run.ts';

export interface ResponseCacheOptions {
  /** The model's name. */
  readonly model: string;
  /** Bytes that answers may take, and the requests that they answer. */
  readonly maxBytes: number;
  /** Policies of the queue behind, which decide when a request's time is over. */
  readonly queues: QueuePolicies;
}

/**
 * The cache of one version while it is loaded: its successor starts with an empty one. Only successful answers are kept.
 * Requests of a sequence bypass it, because their answers depend on more than their inputs.
 */
export class ResponseCache implements Batcher {
  readonly #options: ResponseCacheOptions;
  readonly #next: Batcher;
  readonly #store: ResponseStore;
  /** Those that equal requests may join, by hash. */
  readonly #joinable = new Map<number, SharedRun>();
  readonly #runs = new Set<SharedRun>();

  constructor(options: ResponseCacheOptions, next: Batcher) {
    this.#options = options;
    this.#next = next;
    this.#store = new ResponseStore(options.maxBytes);
  }

  get queuedRequests(): number {
    return this.#next.queuedRequests;
  }

  get queuedRows(): number {
    return this.#next.queuedRows;
  }

  get bytes(): number {
    return this.#store.bytes;
  }

  /** Requests all outputs, so that an entry answers requests for some of them. */
  enqueue(tensors: InferTensors, call: Call, terms: RequestTerms): Promise<InferOutputs> {
    if (terms.sequence !== undefined || call.cancelled) return this.#next.enqueue(tensors, call, terms);
    const arrivalMs = performance.now();
    const hash = hashOf(tensors);
    const outputs = this.#store.find(hash, tensors);
    const lookupMs = performance.now() - arrivalMs;
    if (outputs !== undefined) {
      const nothing = { queueMs: 0, inputMs: 0, computeMs: 0, outputMs: 0, batchRows: 0 };
      return Promise.resolve({ outputs, timing: { ...nothing, cache: { outcome: 'hit', ms: lookupMs } } });
    }
    const sharer = { call, arrivalMs, expiresAt: this.#expiryOf(call, terms, arrivalMs), lookupMs };
    const underWay = this.#joinable.get(hash);
    if (underWay?.isFor(terms) && isSame(underWay.tensors, tensors)) return underWay.join(sharer);
    const run: SharedRun = new SharedRun({
      model: this.#options.model,
      tensors,
      terms,
      next: this.#next,
      keep: (answer) => this.#store.keep(hash, tensors, answer),
      close: () => {
        this.#runs.delete(run);
        if (this.#joinable.get(hash) === run) this.#joinable.delete(hash);
      },
    });
    this.#runs.add(run);
    // If two runs cannot share, later requests join the later run, which lasts longer.
    this.#joinable.set(hash, run);
    return run.join(sharer);
  }

  forecast(request: RequestSize): Forecast {
    return this.#next.forecast(request);
  }

  abandon(error: InferError): void {
    this.#next.abandon(error);
  }

  async drained(): Promise<void> {
    await this.#next.drained();
    // A run that failed because its time ran out may have been requested again.
    while (this.#runs.size > 0) await this.#next.drained();
  }

  #expiryOf(call: Call, terms: RequestTerms, now: number): number {
    const { queues } = this.#options;
    const policy = queues.at(queues.levelOf(terms));
    if (policy.timeoutAction === 'delay') return call.deadline;
    return Math.min(call.deadline, now + timeLimitMs(policy, terms));
  }
}
