/** The time in which a model version that served has no process: how long it lasts, and why. */

export interface Outage {
  /** When it began, on the clock of `performance.now()`. */
  readonly sinceMs: number;
  /** Number of the next or current start: 1 after the first death. */
  readonly attempt: number;
  /** When that start begins or began, on the same clock. */
  readonly nextAtMs: number;
  /** Why the last process ended, or did not load the model. */
  readonly cause: string;
  /** The process lived and refused the model: until its files change, it may refuse it again. */
  readonly isRefused: boolean;
}

/** Before the first, second, … start in a row, in milliseconds; the last one repeats. */
const PAUSES_MS = [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000] as const;
/** Up to this share of a pause is left out, so that runners that died together do not start together. */
const JITTER = 0.25;

/** How long to wait before the next start after `failures` in a row, in milliseconds. */
export function restartPauseMs(failures: number, random: () => number = Math.random): number {
  const pause = PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)] ?? 0;
  return pause * (1 - JITTER * random());
}

/** Such as `restarting: attempt 7, next in 12 s, last: killed by SIGKILL`. */
export function describeOutage({ attempt, nextAtMs, cause }: Outage, nowMs: number): string {
  const leftMs = nextAtMs - nowMs;
  const next = leftMs > 0 ? `next in ${formatSeconds(leftMs)}` : 'under way';
  return `restarting: attempt ${attempt}, ${next}, last: ${cause}`;
}

function formatSeconds(ms: number): string {
  return ms < 1_000 ? `${Math.ceil(ms)} ms` : `${Math.ceil(ms / 1_000)} s`;
}
