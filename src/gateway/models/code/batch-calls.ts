/** The calls of a batch of a code model: each is a request in its own right, with the metadata and the deadline of the batch. */

import { MAX_TIMER_MS } from '../../../timer-limit.ts';
import { DerivedCall } from '../../accept/derived-call.ts';
import { type Batch, lastExpiry } from '../../batch/batch.ts';
import type { CallOutcome, CodeCalls, InnerCall } from '../../batch/code-calls.ts';
import { InferError, REASONS } from '../../errors.ts';
import type { ModelRef } from '../../ops/diagnostics.ts';
import type { CallGateway } from './call-gateway.ts';

export class BatchCalls implements CodeCalls {
  readonly #batch: Batch;
  readonly #model: ModelRef;
  readonly #gateway: CallGateway;
  readonly wait: (isWaiting: boolean) => void;

  /** @param wait as `CodeCalls.wait` */
  constructor(batch: Batch, model: ModelRef, gateway: CallGateway, wait: (isWaiting: boolean) => void) {
    this.#batch = batch;
    this.#model = model;
    this.#gateway = gateway;
    this.wait = wait;
  }

  get isAbandoned(): boolean {
    return this.#batch.requests.every(({ settled }) => settled);
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
    const outcome = this.#gateway.answer(wire, call).then(
      (chunks): CallOutcome => ({ kind: 'ok', chunks }),
      (thrown): CallOutcome => {
        const { reason, message } = InferError.from(thrown);
        return { kind: 'failed', failure: { reason, status: REASONS[reason], message } };
      },
    );
    return { outcome: outcome.finally(() => clearTimeout(timer)), cancel: () => call.cancel('client') };
  }
}
