/** The facts about one inference as it proceeds, published when it ends. */

import type { InferRequest } from '../wire/infer-request.ts';
import type { InferResponse } from '../wire/infer-response.ts';
import { releaseAll, type TensorBytes } from '../wire/tensor-bytes.ts';
import type { Call } from './accept/call.ts';
import type { Permit } from './admit/admission.ts';
import type { InferOutputs, RequestTiming } from './batch/queued-request.ts';
import { InferError, REASONS } from './errors.ts';
import type { Servable } from './models/servable.ts';
import { diagnostics } from './ops/diagnostics.ts';

export interface Answer {
  /** The parts of an encoded ModelInferResponse. */
  readonly chunks: readonly Uint8Array[];
  /** The response that `chunks` encode. */
  readonly response: InferResponse;
  readonly timing: RequestTiming;
  /** Memory that `chunks` may be views of, and nothing else is: to be given back once they are written. */
  readonly memory?: InferOutputs['memory'];
  /** Nothing holds a view of the request any more. */
  readonly requestIsSpent?: boolean;
  /** All answers of the request have left before: this is only their end. */
  readonly isDecoupled?: boolean;
}

/** Every inference ends in exactly one of `answered` and `failed`; both count it, and publish that it ended. */
export class InferenceRecord {
  /** The encoded ModelInferRequest. */
  readonly wire: Uint8Array;
  /** Raw contents of its inputs that are beside the message instead of in it. Those that landed are the record's to release. */
  readonly tensors: readonly TensorBytes[] | undefined;
  readonly call: Call;
  /** The request, its model and its rows: each `undefined`, or 0, until the path gets there. */
  request: InferRequest<TensorBytes> | undefined;
  model: Servable | undefined;
  rows = 0;
  requestId = '';
  /** The room that it takes until it ends. */
  permit: Permit | undefined;
  /** On the clock of `performance.now()`. */
  readonly startedAt = performance.now();

  constructor(wire: Uint8Array, call: Call, tensors?: readonly TensorBytes[]) {
    this.wire = wire;
    this.tensors = tensors;
    this.call = call;
  }

  /** Bytes of the message, and of the tensors beside it. */
  get bytes(): number {
    return this.wire.byteLength + (this.tensors === undefined ? 0 : bytesOf(this.tensors));
  }

  answered<Given extends Pick<Answer, 'chunks' | 'timing'>>(answer: Given): Given {
    const now = performance.now();
    this.model?.statistics.recordSuccess(this.rows, answer.timing, now - this.startedAt, now);
    this.#publish(answer, undefined, now);
    return answer;
  }

  failed(thrown: unknown): InferError {
    const error = InferError.from(thrown);
    const now = performance.now();
    this.model?.statistics.recordFailure(now - this.startedAt, error.reason, now);
    this.#publish(undefined, error, now);
    return error;
  }

  /** Gives back what the request holds. Called once, when nothing of the path needs it any more. */
  end(): void {
    this.permit?.[Symbol.dispose]();
    if (this.tensors !== undefined) releaseAll(this.tensors);
  }

  #publish(answer: Pick<Answer, 'chunks' | 'timing'> | undefined, failure: InferError | undefined, now: number): void {
    if (!diagnostics.inferenceEnded.active) return;
    const timing = answer !== undefined && hasRun(answer.timing) ? answer.timing : undefined;
    diagnostics.inferenceEnded.publish({
      call: this.call,
      model: this.model?.ref,
      requestId: this.requestId,
      status: failure === undefined ? 'OK' : REASONS[failure.reason],
      reason: failure?.reason,
      failure,
      rows: this.rows,
      requestBytes: this.bytes,
      responseBytes: answer === undefined ? 0 : bytesOf(answer.chunks),
      queueMs: timing?.queueMs,
      timing,
      batchRows: answer?.timing.batchRows ?? 0,
      cache: answer?.timing.cache?.outcome,
      durationMs: now - this.startedAt,
    });
  }
}

function hasRun({ cache }: RequestTiming): boolean {
  return cache === undefined || cache.outcome === 'miss';
}

export function bytesOf(chunks: readonly { readonly byteLength: number }[]): number {
  let bytes = 0;
  for (const { byteLength } of chunks) bytes += byteLength;
  return bytes;
}
