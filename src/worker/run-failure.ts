/** Why a run gave no outputs, in the terms of its report. */

import { constants } from 'node:buffer';
import { messageOf } from '../error-message.ts';
import type { RunFault } from './protocol.ts';

export class RunFailure extends Error {
  readonly fault: RunFault;
  /** See `RunReport`. */
  readonly bytes: number;

  constructor(fault: RunFault, message: string, bytes = 0) {
    super(message);
    this.fault = fault;
    this.bytes = bytes;
  }

  /** The failure itself, or what the text of another error says of it. */
  static from(thrown: unknown): RunFailure {
    if (thrown instanceof RunFailure) return thrown;
    const message = messageOf(thrown);
    return TOO_LONG_A_STRING.test(message) ? longString() : new RunFailure(faultOf(message), message);
  }
}

/** How kernels, allocators, the C++ library, ONNX Runtime's binding and V8 say that there is no memory, or not for such a size. */
const NO_MEMORY =
  /bad_alloc|bad_array_new_length|failed to allocate|cannot allocate memory|out of memory|ALLOC_FAILED|length_error|max_size\(\)|_M_(default_append|fill_insert|realloc_insert|create)|Array buffer allocation failed|Invalid (typed )?array (buffer )?length|Invalid string length/i;

/**
 * How the binding says that an output has a string that V8 cannot hold, by its length: Node-API's texts, without a word more.
 * Its inputs are no reason: the gateway has checked them, and strings among them were in V8 before.
 */
const TOO_LONG_A_STRING = /^(Unknown failure|Invalid argument)$/;

function longString(): RunFailure {
  return new RunFailure('outputs', `an output has a string of more than ${constants.MAX_STRING_LENGTH} bytes`);
}

/**
 * ONNX Runtime's binding throws plain Errors without a code. After validation, a kernel that fails ("Non-zero status code
 * returned while running …") does so because of the values it was given.
 */
function faultOf(message: string): RunFault {
  if (NO_MEMORY.test(message)) return 'memory';
  return /Non-zero status code returned while running/.test(message) ? 'data' : 'internal';
}
