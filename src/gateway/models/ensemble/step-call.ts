import type { Call, CancelReason, Deadline, Trailers } from '../../accept/call.ts';
import type { InferError, StatusCode } from '../../errors.ts';

/** One step's share of a client's call: it has the call's metadata, and an end of its own. */
export class StepCall implements Call {
  readonly deadline: Deadline;
  readonly namesDeadline: boolean;
  readonly step: NonNullable<Call['step']>;
  onCancel: ((reason: CancelReason) => void) | undefined;
  readonly #outer: Call;
  #cancelled = false;

  /**
   * @param outer the call of the ensemble's request, which may be a step of another ensemble.
   * @param deadline never later than `outer`'s. Only the caller of `cancel` watches it.
   */
  constructor(outer: Call, deadline: Deadline, ensemble: string) {
    this.#outer = outer;
    this.deadline = deadline;
    this.namesDeadline = outer.namesDeadline || deadline < outer.deadline;
    this.step = outer.step ?? { of: outer, ensemble };
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
