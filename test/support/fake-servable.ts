import type { Call } from '../../src/gateway/accept/call.ts';
import { cancelled } from '../../src/gateway/accept/cancellation.ts';
import type { InferTensors } from '../../src/gateway/admit/infer-tensors.ts';
import type { RequestTerms } from '../../src/gateway/admit/request-terms.ts';
import type { Batcher, WantedTensor } from '../../src/gateway/batch/batcher.ts';
import { type Forecast, type RequestSize, UNKNOWN } from '../../src/gateway/batch/forecast.ts';
import type { InferOutputs, OutputTensor } from '../../src/gateway/batch/queued-request.ts';
import { InferError } from '../../src/gateway/errors.ts';
import { ModelStatistics } from '../../src/gateway/models/model-statistics.ts';
import type { ModelPlan } from '../../src/gateway/models/planned-version.ts';
import type { Servable, Served } from '../../src/gateway/models/servable.ts';
import { diagnostics, type ModelRef, type ModelState } from '../../src/gateway/ops/diagnostics.ts';
import { MODEL_CONFIG } from '../../src/gateway/repository/config/model-config.ts';
import type { ModelSignature } from '../../src/gateway/repository/signature/model-signature.ts';
import { emptyPlan } from './empty-plan.ts';

/** A request that waits until the test says how it ends, or its call is cancelled. */
export interface FakeRequest {
  readonly tensors: InferTensors;
  readonly call: Call;
  readonly terms: RequestTerms;
  readonly wanted: readonly WantedTensor[] | undefined;
  answer(outputs: readonly OutputTensor[]): void;
  fail(error: InferError): void;
}

/** What each run of a fake model is said to have taken, in milliseconds. */
export const FAKE_TIMING = { queueMs: 1, inputMs: 2, computeMs: 3, outputMs: 4, batchRows: 5 } as const;

/** A model without instances: the test answers its requests. */
export class FakeServable implements Servable, Batcher {
  readonly ref: ModelRef;
  readonly config = MODEL_CONFIG.parse({});
  readonly plan: ModelPlan;
  readonly platform = 'onnxruntime_onnx';
  readonly statistics = new ModelStatistics();
  readonly pid = undefined;
  readonly modelPaths = [];
  readonly placements = [];
  readonly breaker = 'closed';
  readonly queuedRequests = 0;
  readonly queuedRows = 0;
  /** It waits for its next runner, and takes requests that can wait, too. */
  isDown = false;
  state: ModelState = 'READY';
  detail = 'fake';
  signature: ModelSignature;
  /** Every request there was. */
  readonly requests: FakeRequest[] = [];
  /** Receives each request. */
  onRequest: ((request: FakeRequest) => void) | undefined;

  constructor(name: string, signature: ModelSignature, version = '1') {
    this.ref = { name, version };
    this.signature = signature;
    this.plan = emptyPlan(this);
  }

  get ready(): Served {
    if (this.state !== 'READY' && !this.isDown)
      throw new InferError('model_not_ready', `model '${this.ref.name}' is not ready`);
    const { signature } = this;
    return { signature, axis: signature.batching.kind === 'on' ? 'rows' : 'whole', batcher: this };
  }

  become(state: ModelState, detail = 'fake'): void {
    this.state = state;
    this.detail = detail;
    diagnostics.modelChanged.publish({ model: this.ref, state, detail });
  }

  /** What it says that a request would meet. */
  outlook: Forecast = UNKNOWN;

  forecast: (request: RequestSize) => Forecast = () => this.outlook;

  enqueue(
    tensors: InferTensors,
    call: Call,
    terms: RequestTerms,
    wanted?: readonly WantedTensor[],
  ): Promise<InferOutputs> {
    const { promise, resolve, reject } = Promise.withResolvers<InferOutputs>();
    call.onCancel = (reason) => reject(cancelled(reason));
    const request: FakeRequest = {
      tensors,
      call,
      terms,
      wanted,
      answer: (outputs) => resolve({ outputs, timing: FAKE_TIMING }),
      fail: reject,
    };
    this.requests.push(request);
    this.onRequest?.(request);
    return promise;
  }

  /** The latest request. */
  get last(): FakeRequest {
    const request = this.requests.at(-1);
    if (request === undefined) throw new Error(`nobody asked '${this.ref.name}'`);
    return request;
  }

  load(): Promise<void> {
    return Promise.resolve();
  }

  abandon(): void {}

  drained(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}
