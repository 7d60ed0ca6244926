import type { Call, CancelReason } from '../accept/call.ts';

/** The call of a copy: no client waits for it, and it shares only the path of the client's call. */
export class ShadowCall implements Call {
  readonly path: string;
  /** Its limit is a term of the request (see shadow.ts), because no transport watches this call. */
  readonly deadline = Number.POSITIVE_INFINITY;
  readonly namesDeadline = false;
  readonly wayBackMs = 0;
  onCancel: ((reason: CancelReason) => void) | undefined;
  #cancelled = false;

  constructor(path: string) {
    this.path = path;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.onCancel?.('client');
  }

  get(): undefined {
    return undefined;
  }

  keys(): Iterable<string> {
    return [];
  }

  fail(): void {}
}
