/** The errors of sequences, besides the errors of every queue (`refusals.ts`). */

import type { SequenceTerms } from '../../admit/request-terms.ts';
import { InferError } from '../../errors.ts';
import { withPushback } from '../refusals.ts';

/** Triton's text. */
export function notOneRow(model: string): InferError {
  const text = `inference request to model '${model}' must specify batch-size 1 due to requirements of sequence batcher`;
  return new InferError('invalid_request', text);
}

/** Triton's text. */
export function noCorrelationId(model: string): InferError {
  const text = `inference request to model '${model}' must specify a non-zero or non-empty correlation ID`;
  return new InferError('invalid_request', text);
}

/** Triton's text. */
export function notStarted(model: string, id: SequenceTerms['id']): InferError {
  const text = `inference request for sequence ${id} to model '${model}' must specify the START flag on the first request of the sequence`;
  return new InferError('invalid_request', text);
}

/** @param waitMs until the next sequence expires that is idle */
export function tooManySequences(model: string, maxSequences: number, waitMs: number): InferError {
  const text = `model '${model}' holds ${maxSequences} sequences, which is its most (max_sequences)`;
  return withPushback(new InferError('queue_full', text), waitMs);
}

/** Bytes and sequences that a model holds. */
interface HeldSequences {
  readonly sequences: number;
  readonly bytes: number;
  readonly maxBytes: number;
}

/** @param more bytes that another sequence takes */
export function sequencesTooLarge(
  model: string,
  { sequences, bytes, maxBytes }: HeldSequences,
  more: number,
  waitMs: number,
): InferError {
  const text = `model '${model}' holds ${sequences} sequences in ${bytes} bytes, and another takes ${more}: at most ${maxBytes} (max_sequence_bytes)`;
  return withPushback(new InferError('queue_full', text), waitMs);
}
