/** A version whose answers come from a function in this process. Everything before and behind the function is the gateway's own. */

import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../error-message.ts';
import type { Call, CancelReason } from '../gateway/accept/call.ts';
import { limit, reject, resolve, type Waiter, watch } from '../gateway/accept/waiter.ts';
import { axisOf, type InferTensors } from '../gateway/admit/infer-tensors.ts';
import type { RequestTerms } from '../gateway/admit/request-terms.ts';
import type { Batcher } from '../gateway/batch/batcher.ts';
import { type Forecast, UNKNOWN } from '../gateway/batch/forecast.ts';
import type { InferOutputs, OutputTensor } from '../gateway/batch/queued-request.ts';
import { InferError } from '../gateway/errors.ts';
import { ModelStatistics } from '../gateway/models/model-statistics.ts';
import type { ModelPlan } from '../gateway/models/planned-version.ts';
import type { Servable, Served } from '../gateway/models/servable.ts';
import { diagnostics, type ModelRef, type ModelState } from '../gateway/ops/diagnostics.ts';
import type { ModelConfig } from '../gateway/repository/config/model-config.ts';
import type { FakeModel } from './fake-model.ts';
import { answerOf, inputsOf, signatureOf } from './fake-signature.ts';
import { errorOf, type Faults } from './fault.ts';

interface Pending extends Waiter<InferOutputs> {
  readonly end: AbortController;
}

export class FunctionModel implements Servable, Batcher {
  readonly ref: ModelRef;
  readonly config: ModelConfig;
  readonly plan: ModelPlan;
  readonly platform = 'onnxruntime_onnx';
  readonly statistics = new ModelStatistics();
  readonly isDown = false;
  readonly pid = undefined;
  readonly modelPaths = [];
  readonly placements = [];
  readonly breaker = 'closed';
  readonly queuedRequests = 0;
  readonly queuedRows = 0;
  readonly ready: Served;
  readonly #model: FakeModel;
  readonly #faults: Faults;
  readonly #pending = new Set<Pending>();
  readonly #drainWaiters: (() => void)[] = [];
  #state: ModelState = 'LOADING';

  constructor(plan: ModelPlan, model: FakeModel, faults: Faults) {
    this.ref = plan.ref;
    this.config = plan.config;
    this.plan = plan;
    this.#model = model;
    this.#faults = faults;
    const signature = signatureOf(model);
    this.ready = { signature, axis: axisOf(signature.batching), batcher: this };
  }

  get state(): ModelState {
    return this.#state;
  }

  get detail(): string {
    return 'a function of a test';
  }

  async load(): Promise<void> {
    this.#state = 'READY';
    diagnostics.modelChanged.publish({ model: this.ref, state: this.#state, detail: this.detail });
  }

  enqueue(tensors: InferTensors, call: Call, { timeoutMs }: RequestTerms): Promise<InferOutputs> {
    const settling = Promise.withResolvers<InferOutputs>();
    const pending: Pending = { ...settling, call, settled: false, timer: undefined, end: new AbortController() };
    this.#pending.add(pending);
    watch(pending, abandon);
    if (timeoutMs !== undefined) limit(pending, timeoutMs, performance.now(), abandon);
    void this.#answer(tensors, pending);
    return settling.promise;
  }

  forecast(): Forecast {
    return UNKNOWN;
  }

  abandon(error: InferError): void {
    for (const pending of this.#pending) {
      if (reject(pending, error)) pending.end.abort(error);
    }
  }

  drained(): Promise<void> {
    if (this.#pending.size === 0) return Promise.resolve();
    return new Promise((done) => this.#drainWaiters.push(done));
  }

  close(): void {}

  /** Never rejects. */
  async #answer(tensors: InferTensors, pending: Pending): Promise<void> {
    try {
      resolve(pending, await this.#run(tensors, pending.end.signal));
    } catch (thrown) {
      reject(pending, this.#errorOf(thrown));
    }
    this.#pending.delete(pending);
    if (this.#pending.size === 0) for (const done of this.#drainWaiters.splice(0)) done();
  }

  async #run(tensors: InferTensors, signal: AbortSignal): Promise<InferOutputs> {
    for (const fault of this.#faults.take()) {
      if (fault.kind !== 'latency') throw errorOf(fault, this.ref.name);
      await delay(fault.ms, undefined, { signal });
    }
    const { signature } = this.ready;
    const startedMs = performance.now();
    const outputs: readonly OutputTensor[] = answerOf(
      await this.#model.run(inputsOf(tensors, signature), signal),
      signature,
    );
    const timing = { queueMs: 0, inputMs: 0, computeMs: performance.now() - startedMs, outputMs: 0 };
    this.statistics.recordRun(tensors.rows, timing);
    return { outputs, timing: { ...timing, batchRows: tensors.rows } };
  }

  #errorOf(thrown: unknown): InferError {
    if (thrown instanceof InferError) return thrown;
    return new InferError('internal', `the fake model '${this.ref.name}' failed: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** The caller is gone, or its time is over. */
function abandon(pending: Pending, reason: CancelReason): void {
  const error =
    reason === 'deadline'
      ? new InferError('deadline_exceeded', 'the deadline passed before the fake model answered')
      : new InferError('cancelled', 'the caller went away');
  if (reject(pending, error)) pending.end.abort(error);
}
