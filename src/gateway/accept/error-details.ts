/** The rich form of a failure: `google.rpc.Status` with ErrorInfo, RetryInfo and BadRequest, for `grpc-status-details-bin`. */

import { encodeRichStatus } from '../../wire/error-details.ts';
import type { InferError, Pushback } from '../errors.ts';

export const DETAILS_TRAILER = 'grpc-status-details-bin';

/** Who defines the reasons: `ErrorInfo.domain`. */
const DOMAIN = 'tensorgate';

/** The part of an error that its details say. */
export type DetailedError = Pick<InferError, 'reason' | 'status' | 'pushback' | 'field'>;

/**
 * Encodes the details of `error`.
 * @param text of the status: gRPC libraries that read the details take the text from them
 */
export function encodeErrorDetails(error: DetailedError, text: string): Uint8Array {
  const { reason, status, pushback, field } = error;
  return encodeRichStatus({
    code: status,
    message: text,
    reason,
    domain: DOMAIN,
    ...(typeof pushback === 'number' && { retryDelayMs: retryDelayMs(pushback) }),
    ...(field !== undefined && { fieldViolations: [{ field, description: text }] }),
  });
}

/** Steps of an octave in which RetryInfo says a wait. */
const STEPS = 4;

/**
 * RetryInfo says a wait rounded up, by less than a quarter, so that the refusals of an overload share few encoded details. The trailer
 * `grpc-retry-pushback-ms` says the wait exactly.
 */
export function retryDelayMs(pushbackMs: number): number {
  if (pushbackMs <= 1) return pushbackMs <= 0 ? 0 : 1;
  const step = 2 ** Math.floor(Math.log2(pushbackMs)) / STEPS;
  return Math.ceil(Math.ceil(pushbackMs / step) * step);
}

/** Equal for the waits that share their details: a small number. */
export function retryStep(pushback: Pushback | undefined): number {
  return typeof pushback === 'number' ? retryDelayMs(pushback) : -1;
}
