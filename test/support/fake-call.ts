import type { Call, CancelReason } from '../../src/gateway/accept/call.ts';
import type { StatusCode } from '../../src/gateway/errors.ts';

/** A call without a transport: it is cancelled by hand, and remembers how it failed. */
export class FakeCall implements Call {
  readonly path = '/inference.GRPCInferenceService/ModelInfer';
  readonly deadline: number;
  wayBackMs = 0;
  namesDeadline: boolean;
  cancelled = false;
  #onCancel: ((reason: CancelReason) => void) | undefined;
  failure: { readonly code: StatusCode; readonly text: string } | undefined;

  readonly #metadata: Readonly<Record<string, string>>;

  /** @param deadline absolute, on the clock of `performance.now()`. */
  constructor(deadline: number = Number.POSITIVE_INFINITY, metadata: Readonly<Record<string, string>> = {}) {
    this.deadline = deadline;
    this.namesDeadline = deadline !== Number.POSITIVE_INFINITY;
    this.#metadata = metadata;
  }

  get onCancel(): ((reason: CancelReason) => void) | undefined {
    return this.#onCancel;
  }

  /** Takes one holder at a time, as `Call` says. */
  set onCancel(holder: ((reason: CancelReason) => void) | undefined) {
    if (holder !== undefined && this.#onCancel !== undefined)
      throw new Error('the call has a holder of onCancel already');
    this.#onCancel = holder;
  }

  /** What a transport does when the caller goes away, or the deadline passes. */
  cancel(reason: CancelReason = 'client'): void {
    this.cancelled = true;
    this.onCancel?.(reason);
  }

  get(name: string): string | Uint8Array | undefined {
    return this.#metadata[name];
  }

  keys(): Iterable<string> {
    return Object.keys(this.#metadata);
  }

  fail(code: StatusCode, text: string): void {
    this.failure ??= { code, text };
  }
}
