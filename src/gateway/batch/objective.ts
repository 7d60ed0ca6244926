/** When to answer a request whose caller set no deadline: `objective_ms`. It decides which requests are queued, refused and shed. */

/**
 * Ten times the request's own run leaves room for a batch that runs and for the batch that it is in. A quarter of a second is what
 * 256 callers in a closed loop wait for a model that answers a thousand rows a second, and still feels immediate to people.
 */
const DEFAULT_RUNS = 10;
const DEFAULT_LEAST_MS = 250;

/**
 * @param maxDelayMs how long a request may be held back for company
 * @param aloneMs typical time of the request's own run; `undefined` where that is not known
 */
export function defaultObjectiveMs(maxDelayMs: number, aloneMs: number | undefined): number {
  return maxDelayMs + Math.max(DEFAULT_LEAST_MS, DEFAULT_RUNS * (aloneMs ?? 0));
}
