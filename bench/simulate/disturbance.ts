/** What a machine does to a run besides computing it: stalls, and spans of time in which everything is slower. */

export interface Disturbance {
  readonly fromMs: number;
  readonly toMs: number;
  /** How many times as long work takes; infinite for a stall. */
  readonly slowdown: number;
}

/** Milliseconds until a run is over that starts at `startMs` and needs `workMs` of an undisturbed machine. */
export function disturbedMs(workMs: number, startMs: number, disturbances: readonly Disturbance[]): number {
  let now = startMs;
  let left = workMs;
  for (const { fromMs, toMs, slowdown } of disturbances) {
    if (toMs <= now) continue;
    if (now + left <= fromMs) break;
    left -= Math.max(0, fromMs - now);
    now = Math.max(now, fromMs);
    if (left * slowdown <= toMs - now) return now + left * slowdown - startMs;
    left -= (toMs - now) / slowdown;
    now = toMs;
  }
  return now + left - startMs;
}

export function stall(atMs: number, lengthMs: number): Disturbance {
  return { fromMs: atMs, toMs: atMs + lengthMs, slowdown: Number.POSITIVE_INFINITY };
}
