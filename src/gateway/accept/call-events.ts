/** The events that every transport publishes about its calls. */

import { type InferError, Status, type StatusCode, type StatusName } from '../errors.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import type { Call } from './call.ts';

const STATUS_NAMES = new Map(Object.entries(Status).map(([name, code]) => [code, name as StatusName]));

export interface CallEnd {
  readonly code: StatusCode;
  readonly text?: string | undefined;
  readonly failure?: InferError | undefined;
}

export const SUCCESS: CallEnd = { code: Status.OK };

export function publishStart(call: Call): void {
  if (diagnostics.callStarted.active) diagnostics.callStarted.publish({ call });
}

/**
 * To be called when a call has ended, however it did.
 * @param startedAt on the clock of `performance.now()`
 */
export function publishEnd(call: Call, { code, text, failure }: CallEnd, startedAt: number): void {
  if (!diagnostics.callEnded.active) return;
  diagnostics.callEnded.publish({
    call,
    status: STATUS_NAMES.get(code) ?? 'UNKNOWN',
    reason: failure?.reason,
    text,
    cause: failure?.cause,
    durationMs: performance.now() - startedAt,
  });
}
