/** How many bytes the outputs of one request, and of one batch, may have: `maxOutputBytes`, which is for a request. */

import type { TensorSize } from '../../wire/tensor.ts';
import type { OutputTensor } from './queued-request.ts';

/** So many requests of a batch may have the longest answer: a batch of many could take gigabytes otherwise. */
const LONGEST_ANSWERS = 4;

/** Bytes that the outputs of a batch of so many requests may have. A batch that exceeds it, and has more than one request, runs in parts. */
export function batchOutputLimit(maxOutputBytes: number, requests = LONGEST_ANSWERS): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.min(requests, LONGEST_ANSWERS) * maxOutputBytes);
}

export function byteLengthOf(outputs: readonly OutputTensor[]): number {
  let total = 0;
  for (const { data } of outputs) total += data.byteLength;
  return total;
}

export function sizeOf({ name, shape, data }: OutputTensor): TensorSize {
  return { name, shape, byteLength: data.byteLength };
}
