import { InferError } from '../../errors.ts';

/** Bytes that REST requests hold, from the first byte of a body to the last byte of its answer. */
export class BodyBudget {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws InferError `queue_full` */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) {
      const text = `REST requests hold ${this.#bytes} bytes, ${bytes} more do not fit (max_in_flight_bytes is ${this.#maxBytes}): try again`;
      throw new InferError('queue_full', text, { pushback: 1_000 });
    }
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** What one request holds of a budget. */
export class BodyCharge implements Disposable {
  readonly #budget: BodyBudget;
  #bytes = 0;

  constructor(budget: BodyBudget) {
    this.#budget = budget;
  }

  /** @throws InferError `queue_full`; nothing is taken then. */
  take(bytes: number): void {
    this.#budget.take(bytes);
    this.#bytes += bytes;
  }

  [Symbol.dispose](): void {
    this.#budget.giveBack(this.#bytes);
    this.#bytes = 0;
  }
}
