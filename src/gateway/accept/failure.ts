/** How an error ends a call: the only place that turns one into a status, a text and trailers. */

import { InferError, type Pushback } from '../errors.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import type { Call, Trailers } from './call.ts';

const MAX_INT32 = 2 ** 31 - 1;

/**
 * Ends `call` with the status of `error`. The transport adds how long to wait before a retry where the error knows.
 * @param trailers besides
 */
export function failWith(call: Call, error: InferError, trailers?: Trailers): void {
  call.fail(error.status, error.message, trailers, error);
}

/** Ends `call` for what its handler threw, and reports it (CALL-3). */
export function failHandler(call: Call, thrown: unknown): void {
  diagnostics.notice.publish({ level: 'error', text: `the handler of ${call.path} threw`, cause: thrown });
  failWith(call, InferError.from(thrown));
}

/** The trailer with the wait before a retry: a decimal of 32 bits; a negative value forbids retries (gRFC A6). */
export const PUSHBACK_TRAILER = 'grpc-retry-pushback-ms';

export function pushbackValue(pushback: Pushback): string {
  return pushback === 'never' ? '-1' : String(Math.min(MAX_INT32, Math.max(0, Math.ceil(pushback))));
}
