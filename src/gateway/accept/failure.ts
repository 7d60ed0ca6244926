/** How an error ends a call: the only place that turns one into a status, a text and trailers. */

import type { InferError, Pushback } from '../errors.ts';
import type { Call, Trailers } from './call.ts';

const MAX_INT32 = 2 ** 31 - 1;

/**
 * Ends `call` with the status of `error`, and says how long to wait before a retry where the error knows.
 * @param trailers besides
 */
export function failWith(call: Call, error: InferError, trailers?: Trailers): void {
  call.fail(error.status, error.message, failureTrailers(error, trailers), error);
}

/** The trailers of an answer that ends with `error`. */
export function failureTrailers({ pushback }: InferError, trailers?: Trailers): Trailers | undefined {
  return pushback === undefined ? trailers : { ...trailers, ...pushbackTrailer(pushback) };
}

/** `grpc-retry-pushback-ms` is a decimal of 32 bits; a negative one forbids the retry (gRFC A6). */
function pushbackTrailer(pushback: Pushback): Trailers {
  const waitMs = pushback === 'never' ? -1 : Math.min(MAX_INT32, Math.max(0, Math.ceil(pushback)));
  return { 'grpc-retry-pushback-ms': String(waitMs) };
}
