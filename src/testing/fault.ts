/** Faults that a test switches on for the calls of a model. */

import { InferError, type Pushback, type Reason } from '../gateway/errors.ts';

export type Fault = {
  /** Number of calls that it changes; by default every call until it is disposed. */
  readonly calls?: number;
} & (
  | {
      /** Answers later by so many milliseconds. The deadline of the caller goes on. */
      readonly kind: 'latency';
      readonly ms: number;
    }
  | {
      /** Fails the call with a reason of `docs/errors.md`, from which its status follows. */
      readonly kind: 'error';
      readonly reason: Reason;
      readonly message?: string;
      /** Wait before a retry, which the server names; `'never'` forbids retries. */
      readonly pushbackMs?: Pushback;
    }
  | {
      /** Refuses the call as an overloaded server does: RESOURCE_EXHAUSTED, with the wait before a retry. */
      readonly kind: 'overload';
      readonly pushbackMs: number;
    }
);

interface ActiveFault {
  readonly fault: Fault;
  left: number;
}

/** The faults of one model, in the order in which they were switched on. */
export class Faults {
  readonly #active = new Set<ActiveFault>();

  add(fault: Fault): Disposable {
    const active = { fault, left: fault.calls ?? Number.POSITIVE_INFINITY };
    if (!(active.left >= 1)) throw new RangeError(`calls of a fault: expected at least 1, got ${fault.calls}`);
    this.#active.add(active);
    return { [Symbol.dispose]: () => void this.#active.delete(active) };
  }

  /** The faults of the next call. */
  take(): readonly Fault[] {
    return [...this.#active].map((active) => {
      active.left--;
      if (active.left === 0) this.#active.delete(active);
      return active.fault;
    });
  }
}

export function errorOf(fault: Exclude<Fault, { readonly kind: 'latency' }>, model: string): InferError {
  if (fault.kind === 'overload') {
    const text = `model '${model}' has more requests than it can answer (injected overload)`;
    return new InferError('overloaded', text, { pushback: fault.pushbackMs });
  }
  const { reason, pushbackMs, message = `injected fault of model '${model}'` } = fault;
  return new InferError(reason, message, pushbackMs === undefined ? {} : { pushback: pushbackMs });
}
