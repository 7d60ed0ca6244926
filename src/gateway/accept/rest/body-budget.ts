import { InferError } from '../../errors.ts';

/** Bytes up to which a request counts as small. */
const SMALL_BYTES = 64 * 1024;
/** Share of the budget that is kept for small requests: large ones do not shut them out. */
const RESERVED_SHARE = 1 / 16;

/** Bytes that REST requests hold: their bodies, and the tensors that are made of them, until there is an answer. */
export class BodyBudget {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @param held by the request before @throws InferError `queue_full` */
  take(bytes: number, held: number): void {
    const isSmall = held + bytes <= SMALL_BYTES;
    if (this.#bytes + bytes > this.#maxBytes * (isSmall ? 1 : 1 - RESERVED_SHARE)) {
      const text = `REST requests hold ${this.#bytes} bytes, ${bytes} more do not fit (maxInFlightBytes is ${this.#maxBytes}): try again`;
      throw new InferError('queue_full', text, { pushback: 1_000 });
    }
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** Bytes of a budget that one request holds. */
export class BodyCharge implements Disposable {
  readonly #budget: BodyBudget;
  #bytes = 0;

  constructor(budget: BodyBudget) {
    this.#budget = budget;
  }

  /** @throws InferError `queue_full`; nothing is taken then. */
  take(bytes: number): void {
    this.#budget.take(bytes, this.#bytes);
    this.#bytes += bytes;
  }

  [Symbol.dispose](): void {
    this.#budget.giveBack(this.#bytes);
    this.#bytes = 0;
  }
}
