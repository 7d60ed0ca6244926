import type { InferError } from '../errors.ts';
import type { Method } from './call.ts';
import { MAX_REQUEST_BYTES } from './definition.ts';
import { failWith } from './failure.ts';

/** An RPC that is always refused: at the head of a call, before its message is waited for. */
export function refusingMethod(refuse: () => InferError): Method {
  return {
    kind: 'unary',
    maxMessageBytes: MAX_REQUEST_BYTES,
    screen: refuse,
    handle: (call) => failWith(call, refuse()),
  };
}
