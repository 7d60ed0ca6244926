/** Queue policies of a model by priority level: Triton's `ModelQueuePolicy`. */

import type { RequestTerms } from '../admit/request-terms.ts';

export interface QueuePolicy {
  /** Maximum number of waiting requests of the level; `Infinity`: bounded only in bytes. */
  readonly maxRequests: number;
  /** How long a request may wait and run that names no shorter time, in milliseconds; `Infinity`: as long as its call may. */
  readonly defaultTimeoutMs: number;
  /** Whether the parameter `timeout` applies. */
  readonly allowTimeoutOverride: boolean;
  /** When its time is over a request ends, or it goes behind all others and ends with its call. */
  readonly timeoutAction: 'reject' | 'delay';
}

/** Tag of a postponed request: it waits behind all others. */
export const LAST_TAG = Number.POSITIVE_INFINITY;

export class QueuePolicies {
  readonly #policies: readonly [QueuePolicy, ...QueuePolicy[]];
  readonly #defaultLevel: number;

  /**
   * @param policies of the levels, the most urgent first; a single one where the model has no levels.
   * @param defaultLevel of requests that name none of the levels.
   */
  constructor(policies: readonly [QueuePolicy, ...QueuePolicy[]], defaultLevel = 1) {
    this.#policies = policies;
    this.#defaultLevel = defaultLevel;
  }

  get levels(): number {
    return this.#policies.length;
  }

  /** Level by the parameter `priority`: 0, or an unknown level, is the default level. */
  levelOf({ priority }: RequestTerms): number {
    return priority >= 1 && priority <= this.#policies.length ? priority : this.#defaultLevel;
  }

  at(level: number): QueuePolicy {
    return this.#policies[level - 1] ?? this.#policies[0];
  }
}

/** After how many milliseconds a policy acts on a request; `Infinity`: never. Of two times the shorter counts. */
export function timeLimitMs(
  { defaultTimeoutMs, allowTimeoutOverride }: QueuePolicy,
  { timeoutMs }: RequestTerms,
): number {
  return timeoutMs === undefined || !allowTimeoutOverride ? defaultTimeoutMs : Math.min(defaultTimeoutMs, timeoutMs);
}
