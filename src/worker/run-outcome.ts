/** Outcome of a run: one closed set for the runner, which reports some of it, and for the gateway, which knows all of it. */

import type { RawTensor } from '../wire/tensor-comparison.ts';
import type { TensorPlace } from './protocol.ts';

/** Outputs as the runner reports them: they lie in the mailbox. Times are in milliseconds. */
export interface PlacedAnswer {
  readonly outputs: readonly TensorPlace[];
  /** By row: how much of axis 1 of every output is its own. The rest is padding up to the longest row of the run. */
  readonly rowLengths?: readonly number[];
  /** Inside `session.run`. */
  readonly computeMs: number;
  /** In the runner besides: reading, and writing. */
  readonly readMs: number;
  readonly writeMs: number;
}

/** Memory that the outputs of a run are views of, and that later runs may have once every holder has given it back. */
export interface OutputMemory {
  /** From here on so many holders have to give it back, instead of one. */
  shareAmong(holders: number): void;
  /** To be called once no view of it is needed. Memory that a holder keeps is left to the collector. */
  giveBack(): void;
}

/** Outputs read from the mailbox. Times are in milliseconds. */
export interface RunAnswer {
  readonly outputs: readonly (RawTensor & {
    readonly name: string;
    /** As in `PlacedAnswer`. */
    readonly rowLengths?: readonly number[] | undefined;
  })[];
  /** Absent where the outputs have memory of their own. */
  readonly memory?: OutputMemory;
  /** Writing the mailbox, and the way to the session. */
  readonly inputMs: number;
  readonly computeMs: number;
  /** The way back. */
  readonly outputMs: number;
  /** How long the batch waited for room before it ran, where it did. */
  readonly roomMs?: number;
}

/** Reasons of failed calls that hold for the request around them as well: the server lacks time or capacity. */
export const PASSED_ON = [
  'queue_full',
  'overloaded',
  'cannot_meet_deadline',
  'deadline_too_short',
  'deadline_exceeded',
  'model_not_ready',
  'breaker_open',
  'runner_lost',
  'draining',
] as const;

export type PassedOn = (typeof PASSED_ON)[number];

export type RunOutcome<Answer = RunAnswer> =
  | ({ readonly kind: 'ok' } & Answer)
  /** The model refused the values of at least one row. */
  | { readonly kind: 'refused'; readonly message: string }
  /**
   * The code of the model threw, or gave outputs that it does not declare; `message` is for the caller. With a reason, it threw
   * the failure of a call to another model, and no row is to blame.
   */
  | { readonly kind: 'threw'; readonly message: string; readonly reason?: PassedOn | undefined }
  /** The outputs have more bytes than the run allows; `message` names their sizes. */
  | { readonly kind: 'outputs_too_large'; readonly message: string }
  /** The mailbox has no room for tensors of so many bytes. */
  | {
      readonly kind: 'no_room';
      readonly bytes: number;
      readonly message: string;
      /** An empty directory of mailboxes would not have it either. */
      readonly isLasting: boolean;
    }
  /** A fault of ours: nothing is known of the rows. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The model found too little memory for these values. */
  | {
      readonly kind: 'out_of_memory';
      /** `process`: other batches ran beside this one, and one of those may have taken the memory. */
      readonly by: 'batch' | 'process';
      /** How the process ended, where it did. */
      readonly cause?: string;
    }
  /** The runner died under the batch, or was killed because it made no progress: other batches in it may be to blame. */
  | { readonly kind: 'crashed' | 'timed_out'; readonly cause: string }
  /** The batch made progress until it had run as long as a run may: its runner was killed for it. */
  | { readonly kind: 'overran'; readonly cause: string; readonly maxMs: number }
  /** No caller waited for the batch any more, and its runner was killed for requests that waited for the instance. */
  | { readonly kind: 'abandoned'; readonly cause: string }
  /** The runner was killed for another batch, which overran or was abandoned. */
  | { readonly kind: 'interrupted'; readonly cause: string }
  /** The batch was not run: the circuit breaker is open. */
  | { readonly kind: 'rejected'; readonly retryAfterMs: number };

/** Outcomes that a runner reports of its own run. */
export type ReportedOutcome = Extract<RunOutcome<PlacedAnswer>, { readonly kind: ReportedKind }>;

type ReportedKind = 'ok' | 'refused' | 'threw' | 'outputs_too_large' | 'out_of_memory' | 'no_room' | 'failed';
