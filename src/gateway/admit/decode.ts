/** Bytes -> a request, within the limits that are checked before anything is allocated. */

import { decodeInferRequest, type InferRequest } from '../../wire/infer-request.ts';
import { WireError, type WireLimits } from '../../wire/limits.ts';
import type { TensorBytes } from '../../wire/tensor-bytes.ts';
import { InferError } from '../errors.ts';

/**
 * @param tensors raw contents that are beside the message
 * @throws InferError `malformed_message` or `limit_exceeded`
 */
export function decode(
  wire: Uint8Array,
  limits: WireLimits,
  tensors?: readonly TensorBytes[],
): InferRequest<TensorBytes> {
  try {
    return decodeInferRequest(wire, limits, tensors);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    if (error.kind === 'limit') {
      const text = `ModelInferRequest: ${error.message}; the loaded models decide how much a message may hold`;
      throw new InferError('limit_exceeded', text);
    }
    throw new InferError('malformed_message', `Unable to parse request: ModelInferRequest: ${error.message}`);
  }
}
