/** Rich errors of gRPC: `google.rpc.Status` in the trailer `grpc-status-details-bin`, as google/rpc/error_details.proto has it. */

import type { Metadata } from '@grpc/grpc-js';
import { decodeErrorDetails, type ErrorDetails } from '../wire/error-details.ts';

export type { FieldViolation } from '../wire/error-details.ts';

const NOTHING: ErrorDetails = { reason: undefined, retryDelayMs: undefined, fieldViolations: [] };

/** Details that cannot be decoded count as absent: the status and its text are the error. */
export function readErrorDetails(trailers: Metadata | undefined): ErrorDetails {
  const bytes = trailers?.get('grpc-status-details-bin')[0];
  if (!(bytes instanceof Uint8Array)) return NOTHING;
  try {
    return decodeErrorDetails(bytes);
  } catch {
    return NOTHING;
  }
}
