/** The errors of a request without a waiting caller. */

import { InferError } from '../errors.ts';
import type { CancelReason } from './call.ts';

export function cancelled(reason: CancelReason): InferError {
  return reason === 'deadline' ? expired() : new InferError('cancelled', 'the caller cancelled the request');
}

export function expired(): InferError {
  return new InferError('deadline_exceeded', 'the deadline passed before the request was answered');
}
