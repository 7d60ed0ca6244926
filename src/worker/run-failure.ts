/** Why a run gave no outputs, as an error that carries the outcome of the run. */

import { constants } from 'node:buffer';
import { messageOf } from '../error-message.ts';
import type { ReportedOutcome } from './run-outcome.ts';

type FailedOutcome = Exclude<ReportedOutcome, { readonly kind: 'ok' }>;

export class RunFailure extends Error {
  readonly outcome: FailedOutcome;

  constructor(outcome: FailedOutcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

/** The outcome of a run that threw: the error carries it, or its text stands for it. */
export function outcomeOf(thrown: unknown): FailedOutcome {
  if (thrown instanceof RunFailure) return thrown.outcome;
  const message = messageOf(thrown);
  if (TOO_LONG_A_STRING.test(message)) return { kind: 'outputs_too_large', message: LONG_STRING };
  if (NO_MEMORY.test(message)) return { kind: 'out_of_memory', by: 'batch' };
  return REFUSED.test(message) ? { kind: 'refused', message } : { kind: 'failed', error: thrown };
}

/** How kernels, allocators, the C++ library, ONNX Runtime's binding and V8 say that there is no memory, or not for such a size. */
const NO_MEMORY =
  /bad_alloc|bad_array_new_length|failed to allocate|cannot allocate memory|out of memory|ALLOC_FAILED|length_error|max_size\(\)|_M_(default_append|fill_insert|realloc_insert|create)|Array buffer allocation failed|Invalid (typed )?array (buffer )?length|Invalid string length/i;

/**
 * How the binding says that an output has a string that V8 cannot hold, by its length: Node-API's texts, without a word more.
 * Its inputs are no reason: the gateway has checked them, and strings among them were in V8 before.
 */
const TOO_LONG_A_STRING = /^(Unknown failure|Invalid argument)$/;
const LONG_STRING = `an output has a string of more than ${constants.MAX_STRING_LENGTH} bytes`;

/**
 * ONNX Runtime's binding throws plain Errors without a code. After validation, a kernel that fails does so because of the values it
 * was given.
 */
const REFUSED = /Non-zero status code returned while running/;
