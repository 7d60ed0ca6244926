/** The parameters of a request that the protocol reserves. All others are the caller's own, and accepted. */

import type { InferParameter, InferParameters } from '../../wire/infer-parameter.ts';
import { InferError } from '../errors.ts';

/** The one key with this prefix that clients may send; Triton's C++ client sends it with every request. */
const EMPTY_FINAL_RESPONSE = 'triton_enable_empty_final_response';

/** A Map, not an object: clients choose the keys, and `constructor` is one that they may use. */
const KINDS: ReadonlyMap<string, readonly InferParameter['kind'][]> = new Map([
  ['timeout', ['int64']],
  ['priority', ['int64', 'uint64']],
  ['sequence_id', ['int64', 'string']],
  ['sequence_start', ['bool']],
  ['sequence_end', ['bool']],
  [EMPTY_FINAL_RESPONSE, ['bool']],
]);

/**
 * Checks the reserved parameters.
 * @returns the caller's `timeout` in milliseconds, `undefined` where there is none or it is 0.
 * @throws InferError `invalid_request` with Triton's text.
 */
export function checkParameters(parameters: InferParameters): number | undefined {
  for (const [key, parameter] of parameters) {
    const kinds = KINDS.get(key);
    if (kinds === undefined) {
      if (!key.startsWith('triton_')) continue;
      throw new InferError(
        'invalid_request',
        `parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: ${EMPTY_FINAL_RESPONSE}`,
      );
    }
    if (!kinds.includes(parameter.kind)) {
      const expected = kinds.map((kind) => `${kind}_param`).join(' or ');
      throw new InferError('invalid_request', `invalid value type for '${key}' parameter, expected ${expected}.`);
    }
  }
  const timeout = parameters.get('timeout');
  return timeout?.kind === 'int64' && timeout.value > 0n ? Number(timeout.value) / 1_000 : undefined;
}

/** @throws InferError `unimplemented` for a tensor that is said to lie in shared memory. */
export function refuseSharedMemory(tensor: string, parameters: InferParameters): void {
  for (const key of ['shared_memory_region', 'shared_memory_byte_size', 'shared_memory_offset']) {
    if (parameters.has(key)) {
      throw new InferError(
        'unimplemented',
        `'${key}' of tensor '${tensor}': shared memory is not offered; send the contents`,
      );
    }
  }
}
