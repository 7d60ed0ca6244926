/** How long refused callers are asked to wait. */

/** Where nothing is predicted, refused callers still do not come back at once. */
const MIN_PUSHBACK_MS = 10;

/** Up to a quarter more, so that refused callers do not come back all at once. */
export function withJitter(ms: number): number {
  return Math.ceil(Math.max(MIN_PUSHBACK_MS, ms) * (1 + Math.random() / 4));
}
