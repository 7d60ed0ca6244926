/** The stage before the queue of a code model: it refuses calls that could never end. */

import type { Call } from '../../accept/call.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { RequestTerms } from '../../admit/request-terms.ts';
import type { Batcher, WantedTensors } from '../../batch/batcher.ts';
import type { Forecast, RequestSize } from '../../batch/forecast.ts';
import type { InferOutputs } from '../../batch/queued-request.ts';
import { InferError } from '../../errors.ts';
import type { ModelRef } from '../../ops/diagnostics.ts';
import type { CallGateway } from './call-gateway.ts';

// Triton's text
const DECOUPLED = "ModelInfer RPC doesn't support models with decoupled transaction policy";

export class CodeBatcher implements Batcher {
  readonly #model: ModelRef;
  readonly #gateway: CallGateway;
  readonly #queue: Batcher;
  readonly #isDecoupled: boolean;

  constructor(
    model: ModelRef,
    gateway: CallGateway,
    queue: Batcher,
    { isDecoupled }: { readonly isDecoupled: boolean },
  ) {
    this.#model = model;
    this.#gateway = gateway;
    this.#queue = queue;
    this.#isDecoupled = isDecoupled;
  }

  get queuedRequests(): number {
    return this.#queue.queuedRequests;
  }

  get queuedRows(): number {
    return this.#queue.queuedRows;
  }

  /** @throws InferError also where the call closes a circle, or takes one answer of a decoupled model */
  async enqueue(tensors: InferTensors, call: Call, terms: RequestTerms, wanted?: WantedTensors): Promise<InferOutputs> {
    if (this.#isDecoupled && terms.send === undefined) throw new InferError('unimplemented', DECOUPLED);
    if (call.caller !== undefined) this.#gateway.note(call.caller, this.#model);
    return this.#queue.enqueue(tensors, call, terms, wanted);
  }

  refusal(call: Call, terms: RequestTerms): InferError | undefined {
    return this.#queue.refusal?.(call, terms);
  }

  forecast(request: RequestSize): Forecast {
    return this.#queue.forecast(request);
  }

  abandon(error: InferError): void {
    this.#queue.abandon(error);
  }

  drained(): Promise<void> {
    return this.#queue.drained();
  }
}
