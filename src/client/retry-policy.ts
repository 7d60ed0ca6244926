import type { InferenceError } from './inference-error.ts';

export interface RetryOptions {
  /** Most attempts of a call, the first among them; 3 by default. */
  readonly attempts?: number | undefined;
  /** Wait before the first retry where the server names none, in milliseconds; each further wait is twice as long. 50 by default. */
  readonly initialBackoffMs?: number | undefined;
  /** Longest such wait, in milliseconds; 1,000 by default. */
  readonly maxBackoffMs?: number | undefined;
  /**
   * Retries that each answered call pays for, from 0 to 1; 0.1 by default. A client starts with ten retries and saves at most ten, so
   * that a server that is down is not also asked three times as often.
   */
  readonly budget?: number | undefined;
}

/** Retries that a client can save. */
const MAX_SAVED = 10;
/** A wait is longer than it must be by up to this share, so that callers that failed together do not return together. */
const JITTER = 0.25;

/** Decides whether and when a failed call is tried again. One for a client: all of its calls share the budget. */
export class RetryPolicy {
  readonly #attempts: number;
  readonly #initialBackoffMs: number;
  readonly #maxBackoffMs: number;
  readonly #budget: number;
  #saved = MAX_SAVED;

  /**
   * @param options `false` or `undefined`: nothing is tried again; `true`: the defaults
   * @throws RangeError where an option is out of range
   */
  constructor(options: RetryOptions | boolean | undefined) {
    const {
      attempts = 3,
      initialBackoffMs = 50,
      maxBackoffMs = 1_000,
      budget = 0.1,
    } = options === true ? {} : options || { attempts: 1 };
    if (!Number.isInteger(attempts)) throw outOfRange('attempts', 'a whole number from 1', attempts);
    this.#attempts = check('attempts', attempts, 1, Number.MAX_SAFE_INTEGER);
    this.#initialBackoffMs = check('initialBackoffMs', initialBackoffMs, 0, Number.MAX_VALUE);
    this.#maxBackoffMs = check('maxBackoffMs', maxBackoffMs, 0, Number.MAX_VALUE);
    this.#budget = check('budget', budget, 0, 1);
  }

  answered(): void {
    this.#saved = Math.min(MAX_SAVED, this.#saved + this.#budget);
  }

  /**
   * How long to wait before attempt `attempt + 1`, in milliseconds; `undefined`: the call has failed. Takes from the budget.
   * @param attempt that failed, from 1
   * @param leftMs until the deadline of the call
   * @param isRepeatable whether running the call twice does no harm. Otherwise only a call is retried that the server refused with a
   *   wait, because it did not run that call.
   */
  waitMs(error: InferenceError, attempt: number, leftMs: number, isRepeatable: boolean): number | undefined {
    if (attempt >= this.#attempts || !error.retryable) return undefined;
    if (!isRepeatable && error.pushbackMs === undefined) return undefined;
    if (this.#saved < 1) return undefined;
    const leastMs = error.pushbackMs ?? Math.min(this.#maxBackoffMs, this.#initialBackoffMs * 2 ** (attempt - 1));
    const waitMs = leastMs * (1 + Math.random() * JITTER);
    if (waitMs >= leftMs) return undefined;
    this.#saved -= 1;
    return waitMs;
  }
}

function check(name: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value;
  throw outOfRange(
    name,
    most === Number.MAX_VALUE ? `a number from ${least}` : `a number from ${least} to ${most}`,
    value,
  );
}

function outOfRange(name: string, expected: string, value: unknown): RangeError {
  return new RangeError(`retry.${name}: expected ${expected}, got ${value}`);
}
