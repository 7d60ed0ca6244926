/** The calls of a batch of a code model: each is a request in its own right, with the metadata and the deadline of the batch. */

import { MAX_TIMER_MS } from '../../../timer-limit.ts';
import { decodeInferResponse } from '../../../wire/infer-response.ts';
import { MAX_MESSAGE_NEEDS, wireLimitsFor } from '../../../wire/limits.ts';
import { DerivedCall } from '../../accept/derived-call.ts';
import { type Batch, lastExpiry } from '../../batch/batch.ts';
import type { CallOutcome, CodeCalls, InnerCall } from '../../batch/code-calls.ts';
import { InferError, REASONS } from '../../errors.ts';
import type { ModelRef } from '../../ops/diagnostics.ts';
import type { CallGateway } from './call-gateway.ts';

/** Outputs are bounded by the frame that brings them. */
const LIMITS = wireLimitsFor(MAX_MESSAGE_NEEDS);

/** Code that heeds its signal ends by itself, and its process need not be killed. */
const NOTICE_MS = 1_000;

export class BatchCalls implements CodeCalls {
  readonly #batch: Batch;
  readonly #model: ModelRef;
  readonly #gateway: CallGateway;
  readonly wait: (isWaiting: boolean) => void;
  #abandonedAtMs = Number.POSITIVE_INFINITY;

  /** @param wait as `CodeCalls.wait` */
  constructor(batch: Batch, model: ModelRef, gateway: CallGateway, wait: (isWaiting: boolean) => void) {
    this.#batch = batch;
    this.#model = model;
    this.#gateway = gateway;
    this.wait = wait;
  }

  get isAbandoned(): boolean {
    const isAbandoned = this.#batch.requests.every(({ settled }) => settled);
    if (isAbandoned) this.#abandonedAtMs = Math.min(this.#abandonedAtMs, performance.now());
    return isAbandoned;
  }

  /** The code was notified long enough ago to have ended by itself. */
  get isOverdue(): boolean {
    return this.isAbandoned && performance.now() >= this.#abandonedAtMs + NOTICE_MS;
  }

  start(wire: Uint8Array, limitMs: number): InnerCall {
    // A batch of several callers calls with the metadata of the first of them.
    const [first] = this.#batch.requests;
    if (first === undefined) throw new TypeError('a batch without requests');
    const now = performance.now();
    const deadline = Math.min(lastExpiry(this.#batch), now + Math.max(0, limitMs || 0));
    const call = new DerivedCall(first.call, deadline, this.#model.name, this.#model);
    const timer = Number.isFinite(deadline)
      ? setTimeout(() => call.cancel('deadline'), Math.min(MAX_TIMER_MS, Math.max(0, deadline - now)))
      : undefined;
    const outcome = settled(this.#gateway.answer(wire, call));
    return { outcome: outcome.finally(() => clearTimeout(timer)), cancel: () => call.cancel('client') };
  }

  send(wire: Uint8Array): Promise<CallOutcome> {
    return settled(this.#send(wire));
  }

  /** @throws InferError */
  async #send(wire: Uint8Array): Promise<readonly Uint8Array[]> {
    const [request] = this.#batch.requests;
    if (request === undefined || request.settled) throw new InferError('cancelled', 'no caller waits for the answer');
    if (request.send === undefined) throw new InferError('invalid_request', 'the model is not decoupled');
    request.hasAnswers = true;
    await request.send(decodeInferResponse(wire, LIMITS).outputs);
    return [];
  }
}

/** Never rejects. */
function settled(answer: Promise<readonly Uint8Array[]>): Promise<CallOutcome> {
  return answer.then(
    (chunks): CallOutcome => ({ kind: 'ok', chunks }),
    (thrown): CallOutcome => {
      const { reason, message } = InferError.from(thrown);
      return { kind: 'failed', failure: { reason, status: REASONS[reason], message } };
    },
  );
}
