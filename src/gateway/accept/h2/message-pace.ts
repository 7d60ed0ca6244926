import type { Http2Limits } from './http2-limits.ts';

export type PaceLimits = Pick<Http2Limits, 'messageGraceMs' | 'minBytesPerSecond'>;

/**
 * How long a request may still lag behind the slowest pace, in milliseconds: time spends it, bytes that come earn it back.
 * At 0 or below the request has stood still, or come too slowly, for too long.
 */
export function patienceAfter(
  patienceMs: number,
  { bytes, elapsedMs }: { readonly bytes: number; readonly elapsedMs: number },
  { messageGraceMs, minBytesPerSecond }: PaceLimits,
): number {
  return Math.min(messageGraceMs, patienceMs - elapsedMs + (bytes / minBytesPerSecond) * 1_000);
}
