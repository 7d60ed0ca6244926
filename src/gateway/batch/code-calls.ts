/** The calls to other models that the code of a model makes while it runs a batch. */

import type { CallFailure } from '../../worker/call-frame.ts';

export type CallOutcome =
  /** The parts of an encoded ModelInferResponse. */
  | { readonly kind: 'ok'; readonly chunks: readonly Uint8Array[] }
  | { readonly kind: 'failed'; readonly failure: CallFailure };

export interface InnerCall {
  /** Never rejects. */
  readonly outcome: Promise<CallOutcome>;
  /** No one waits for the answer any more. */
  cancel(): void;
}

/** Requests that a batch of a code model may make of the gateway. */
export interface CodeCalls {
  /** No caller waits for the batch any more. */
  readonly isAbandoned: boolean;
  /**
   * @param wire an encoded ModelInferRequest
   * @param limitMs how long the call may take; never longer than the callers of the batch wait
   */
  start(wire: Uint8Array, limitMs: number): InnerCall;
  /**
   * Gives an answer to the only request of the batch.
   * @param wire an encoded ModelInferResponse
   * @returns an outcome without chunks once the caller has taken it. Never rejects.
   */
  send(wire: Uint8Array): Promise<CallOutcome>;
  /** The run waits for other models, or goes on: while it waits, they may have its cores. */
  wait(isWaiting: boolean): void;
}
