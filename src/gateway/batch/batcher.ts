/** A batcher takes the validated requests of one model version and answers them: a queue, or a stage before one. */

import type { Call } from '../accept/call.ts';
import type { InferTensors } from '../admit/infer-tensors.ts';
import type { RequestTerms } from '../admit/request-terms.ts';
import type { InferError } from '../errors.ts';
import type { Forecast, RequestSize } from './forecast.ts';
import type { InferOutputs } from './queued-request.ts';

/** An output that the caller asks for. */
export interface WantedTensor {
  readonly spec: { readonly name: string };
}

export type WantedTensors = readonly WantedTensor[];

export interface Batcher {
  readonly queuedRequests: number;
  readonly queuedRows: number;
  /**
   * Resolves with the request's own rows of the outputs. What it has taken counts as its own from the moment of the call.
   * @param wanted the outputs that are read, by default all; more may come: a model computes all of them anyway.
   * @throws InferError
   */
  enqueue(tensors: InferTensors, call: Call, terms: RequestTerms, wanted?: WantedTensors): Promise<InferOutputs>;
  /**
   * Why a request with these terms is not taken now, however little it asks for, if so: what it returns, `enqueue` would reject
   * with. Absent where that depends on what the request holds.
   */
  refusal?(call: Call, terms: RequestTerms): InferError | undefined;
  /** Forecast for a request that arrives now. */
  forecast(request: RequestSize): Forecast;
  /** Fails everything that waits. */
  abandon(error: InferError): void;
  /** Resolves when nothing waits and nothing runs. */
  drained(): Promise<void>;
}
