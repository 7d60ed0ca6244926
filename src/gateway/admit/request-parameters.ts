/** The parameters of a request that the protocol reserves. All others are the caller's own, and accepted. */

import type { InferParameter, InferParameters } from '../../wire/infer-parameter.ts';
import { InferError } from '../errors.ts';
import { NO_TERMS, type RequestTerms, type SequenceTerms } from './request-terms.ts';

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
 * Checks the reserved parameters, and reads what they ask for.
 * @throws InferError `invalid_request` with Triton's text.
 */
export function readTerms(parameters: InferParameters): RequestTerms {
  if (parameters.size === 0) return NO_TERMS;
  for (const [key, parameter] of parameters) {
    const kinds = KINDS.get(key);
    if (kinds === undefined) {
      if (!key.startsWith('triton_')) continue;
      throw new InferError(
        'invalid_request',
        `parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: ${EMPTY_FINAL_RESPONSE}`,
        { field: `parameters['${key}']` },
      );
    }
    if (!kinds.includes(parameter.kind)) {
      const expected = kinds.map((kind) => `${kind}_param`).join(' or ');
      const text = `invalid value type for '${key}' parameter, expected ${expected}.`;
      throw new InferError('invalid_request', text, { field: `parameters['${key}']` });
    }
  }
  const timeout = parameters.get('timeout');
  return {
    timeoutMs: timeout?.kind === 'int64' && timeout.value > 0n ? Number(timeout.value) / 1_000 : undefined,
    priority: priorityOf(parameters),
    sequence: sequenceOf(parameters),
  };
}

function priorityOf(parameters: InferParameters): number {
  const priority = parameters.get('priority');
  if (priority?.kind !== 'int64' && priority?.kind !== 'uint64') return 0;
  if (priority.value < 0n) {
    const text = "invalid value for 'priority', expected value >= 0.";
    throw new InferError('invalid_request', text, { field: "parameters['priority']" });
  }
  return Number(priority.value);
}

function sequenceOf(parameters: InferParameters): SequenceTerms | undefined {
  const id = parameters.get('sequence_id');
  if (id?.kind !== 'int64' && id?.kind !== 'string') return undefined;
  if (id.value === 0n || id.value === '') return undefined;
  return { id: id.value, start: isSet(parameters, 'sequence_start'), end: isSet(parameters, 'sequence_end') };
}

function isSet(parameters: InferParameters, key: string): boolean {
  const flag = parameters.get(key);
  return flag?.kind === 'bool' && flag.value;
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
