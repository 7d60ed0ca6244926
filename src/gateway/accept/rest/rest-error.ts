/** How an error ends a REST call: its HTTP status, and the body `{"error": "…", "reason": "…"}`: clients of the protocol read `error`. */

import { boundedText, type InferError, REASONS, type StatusName } from '../../errors.ts';

/** As google.rpc maps its codes to HTTP (google/rpc/code.proto). */
const HTTP_STATUS: Readonly<Record<StatusName, number>> = {
  OK: 200,
  CANCELLED: 499,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  UNAUTHENTICATED: 401,
};

export interface RestError {
  readonly code: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function restError(error: InferError): RestError {
  const { pushback, reason, field } = error;
  // A limit is no matter of patience, which is what 429 asks for.
  const code = error.reason === 'limit_exceeded' ? 413 : HTTP_STATUS[REASONS[error.reason]];
  return {
    code,
    body: JSON.stringify({ error: boundedText(error.message), reason, ...(field !== undefined && { field }) }),
    headers: typeof pushback === 'number' ? { 'retry-after': String(Math.max(1, Math.ceil(pushback / 1_000))) } : {},
  };
}
