/** `grpc-timeout`: at most eight digits and a unit (grpc/grpc: doc/PROTOCOL-HTTP2.md). */

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** Largest value in eight digits of milliseconds: more than a day. grpc-js takes longer values for negative. */
const MAX_TIMEOUT_MS = 99_999_999;

/** A value that grpc-js refuses, with a text of known length. */
const MALFORMED = 'malformed';

/**
 * The header that grpc-js shall see: in milliseconds, and never longer than `maxMs`.
 * @param header as the client sent it
 * @param defaultMs for a call without one
 */
export function clampTimeout(header: string | undefined, defaultMs: number, maxMs: number): string {
  const timeoutMs = header === undefined ? defaultMs : parseTimeoutMs(header);
  if (timeoutMs === undefined) return MALFORMED;
  return `${Math.ceil(Math.min(timeoutMs, maxMs, MAX_TIMEOUT_MS))}m`;
}

/** `undefined`: malformed. */
export function parseTimeoutMs(header: string): number | undefined {
  const match = TIMEOUT.exec(header);
  const unitMs = UNIT_MS[match?.[2] ?? ''];
  return match === null || unitMs === undefined ? undefined : Number(match[1]) * unitMs;
}
