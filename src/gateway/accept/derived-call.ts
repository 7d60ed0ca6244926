import type { InferError, StatusCode } from '../errors.ts';
import type { Call, CancelReason, Deadline, Trailers } from './call.ts';

/** A share of a client's call, such as one step of an ensemble: it has the call's metadata, and an end of its own. */
export class DerivedCall implements Call {
  readonly deadline: Deadline;
  readonly namesDeadline: boolean;
  readonly step: NonNullable<Call['step']>;
  readonly caller: Call['caller'];
  onCancel: ((reason: CancelReason) => void) | undefined;
  readonly #outer: Call;
  #cancelled = false;

  /**
   * @param outer the client's call, or a share of it.
   * @param deadline never later than the deadline of `outer`. Only the caller of `cancel` watches it.
   * @param model whose request the call carries: an ensemble, or a model that splits it.
   * @param caller the code model that makes the call, where one does
   */
  constructor(outer: Call, deadline: Deadline, model: string, caller: Call['caller'] = outer.caller) {
    this.#outer = outer;
    this.deadline = deadline;
    this.namesDeadline = outer.namesDeadline || deadline < outer.deadline;
    this.step = outer.step ?? { of: outer, ensemble: model };
    this.caller = caller;
  }

  get path(): string {
    return this.#outer.path;
  }

  get wayBackMs(): number {
    return this.#outer.wayBackMs;
  }

  get cancelled(): boolean {
    return this.#cancelled || this.#outer.cancelled;
  }

  cancel(reason: CancelReason): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.onCancel?.(reason);
  }

  get(name: string): string | Uint8Array | undefined {
    return this.#outer.get(name);
  }

  keys(): Iterable<string> {
    return this.#outer.keys();
  }

  fail(code: StatusCode, text: string, trailers?: Trailers, failure?: InferError): void {
    this.#outer.fail(code, text, trailers, failure);
  }
}
