/**
 * Models that are loaded when they are asked for, and evicted when others need their room: those that were not asked for the
 * longest first, never one that is pinned, that an ensemble needs, or that has something to do.
 */

import { Mutex } from '../../../mutex.ts';
import type { Call, CancelReason } from '../../accept/call.ts';
import { cancelled } from '../../accept/cancellation.ts';
import { reject as rejectWaiter, resolve as resolveWaiter, type Waiter, watch } from '../../accept/waiter.ts';
import type { Admission } from '../../admit/admission.ts';
import { InferError } from '../../errors.ts';
import type { ModelTable } from '../model-table.ts';
import type { ModelLifecycle } from './model-lifecycle.ts';
import { loadedBy } from './own-change.ts';

/** A model that did not load is not tried for every request that asks for it. */
const RETRY_AFTER_MS = 10_000;

interface Failure {
  readonly error: InferError;
  readonly until: number;
}

export class OnDemand {
  readonly #lifecycle: ModelLifecycle;
  readonly #models: ModelTable;
  readonly #admission: Admission;
  readonly #maxLoaded: number;
  /** One at a time, so that room which was made for one is not taken by another. */
  readonly #mutex = new Mutex();
  readonly #arriving = new Map<string, Promise<void>>();
  readonly #failures = new Map<string, Failure>();

  /** @param maxLoaded models that may be loaded at a time, ensembles among them; 0: any number. */
  constructor(lifecycle: ModelLifecycle, models: ModelTable, admission: Admission, maxLoaded: number) {
    this.#lifecycle = lifecycle;
    this.#models = models;
    this.#admission = admission;
    this.#maxLoaded = maxLoaded;
  }

  /** Whether a model is not loaded: it may be on disk. */
  isCold(name: string): boolean {
    return this.#models.versionsOf(name).length === 0 && !this.#models.broken.has(name);
  }

  /**
   * Resolves when the model is loaded, or at once where the repository has no such model.
   * @param bytes that the request holds while it waits.
   * @throws InferError `model_not_ready` where it does not load, or none of those that are loaded may go; `queue_full` where
   *   there is no memory for it, or too much waits; `deadline_exceeded` or `cancelled`.
   */
  async activate(name: string, call: Call, bytes: number): Promise<void> {
    if (call.cancelled) throw cancelled('client');
    const permit = this.#admission.tryAcquire(bytes);
    try {
      await new Promise<void>((resolve, reject) => {
        const waiter: Waiter<void> = { call, settled: false, timer: undefined, resolve, reject };
        watch(waiter, leave);
        this.#arriveFromDisk(name).then(
          () => resolveWaiter(waiter, undefined),
          (thrown: unknown) => rejectWaiter(waiter, InferError.from(thrown)),
        );
      });
    } finally {
      permit[Symbol.dispose]();
    }
  }

  async #arriveFromDisk(name: string): Promise<void> {
    if (await this.#lifecycle.isOnDisk(name)) await this.#arrive(name);
  }

  /** Those who ask for a model that is being loaded wait for that. */
  #arrive(name: string): Promise<void> {
    const failure = this.#failures.get(name);
    if (failure !== undefined && performance.now() < failure.until) return Promise.reject(failure.error);
    this.#failures.delete(name);
    const found = this.#arriving.get(name);
    if (found !== undefined) return found;
    const arriving = this.#mutex
      .run(() => this.#load(name))
      .catch((thrown: unknown) => {
        const { message, reason } = InferError.from(thrown);
        // There may be room at any moment, and looking for it is cheap.
        if (reason === 'queue_full' || reason === 'model_not_ready') throw thrown;
        const error = new InferError('model_not_ready', `model '${name}' is not at ready state: ${message}`);
        this.#failures.set(name, { error, until: performance.now() + RETRY_AFTER_MS });
        throw error;
      })
      .finally(() => this.#arriving.delete(name));
    this.#arriving.set(name, arriving);
    return arriving;
  }

  async #load(name: string): Promise<void> {
    while (this.#maxLoaded > 0 && this.#loaded().length >= this.#maxLoaded) {
      // Requests that waited for the model just loaded are queued once this load has ended.
      await new Promise((resolve) => setImmediate(resolve));
      const [victim] = this.#lifecycle.evictable();
      if (victim === undefined) {
        const text = `model '${name}' is not at ready state: there is no room: ${this.#maxLoaded} models are loaded (maxLoadedModels), and each is pinned, needed or busy`;
        throw new InferError('model_not_ready', text);
      }
      await this.#lifecycle.evict(victim);
    }
    await loadedBy('demand', name, () => this.#lifecycle.load(name));
  }

  #loaded(): string[] {
    return this.#models.names().filter((name) => this.#models.versionsOf(name).length > 0);
  }
}

function leave(waiter: Waiter<void>, reason: CancelReason): void {
  rejectWaiter(waiter, cancelled(reason));
}
