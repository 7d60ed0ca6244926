/** Why a run gave no outputs: the one translation from the words of the runner into the outcome of a batch. */

import { outputsExceed } from '../batch/output-limit.ts';
import type { RunOutcome } from '../batch/run-outcome.ts';
import type { RunReply } from './instance-channel.ts';
import { NoRoom } from './mailbox-room.ts';
import type { RunnerEnd } from './run-watch.ts';

export interface RunLimits {
  readonly instance: number;
  readonly maxMs: number;
  /** Bytes that the outputs of one request may have. */
  readonly maxOutputBytes: number;
}

const NO_MEMORY =
  'the model found too little memory for this request: send fewer rows, or smaller values where they are sizes';

export function failureOf(reply: Exclude<RunReply, { kind: 'ran' }>, limits: RunLimits): RunOutcome | NoRoom {
  if (reply.kind === 'ended') return endedUnder(reply, limits);
  switch (reply.fault) {
    case 'data':
      return { kind: 'refused', message: reply.message };
    case 'outputs':
      return { kind: 'exceeded', by: 'batch', message: outputsExceed(reply.message, limits.maxOutputBytes) };
    case 'memory':
      return { kind: 'exceeded', by: 'batch', message: NO_MEMORY };
    case 'room':
      return new NoRoom(reply.bytes);
    case 'internal':
      return { kind: 'failed', error: new Error(reply.message) };
  }
}

/** What the end of its process says of a batch that ran in one of its instances. */
function endedUnder({ cause, timedOut, memory, culprit }: RunnerEnd, { instance, maxMs }: RunLimits): RunOutcome {
  if (culprit !== undefined) {
    if (culprit.instance !== instance) return { kind: 'interrupted', cause };
    return culprit.fault === 'overran' ? { kind: 'overran', cause, maxMs } : { kind: 'abandoned', cause };
  }
  if (memory === undefined) return { kind: timedOut ? 'timed_out' : 'crashed', cause };
  return {
    kind: 'exceeded',
    by: memory === 'of-one-run' ? 'batch' : 'process',
    message: `${NO_MEMORY} (its process ${cause})`,
  };
}
