import { InferError } from '../../errors.ts';

/** A request that stands still holds its room for a few seconds at most; most give it back much sooner. */
const PUSHBACK_MS = 1_000;

/** The error of a call that finds no room for its request, or that ends to make room for others. */
export function noRoom(): InferError {
  const text =
    'the server holds as many bytes of incomplete requests as it may (http2MaxIncomingBytes, http2MaxIncomingBytesInAll)';
  return new InferError('queue_full', text, { pushback: PUSHBACK_MS });
}
