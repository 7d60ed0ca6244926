/** What runs the batches of one model version, and what can come of a batch. */

import type { Batch } from './batch.ts';
import type { Gate } from './gate.ts';
import type { OutputTensor } from './queued-request.ts';

/** What came of a batch. */
export type RunOutcome =
  | {
      readonly kind: 'ok';
      readonly outputs: readonly OutputTensor[];
      readonly inputMs: number;
      readonly computeMs: number;
      readonly outputMs: number;
      /** How long it waited for room before it ran, where it did. */
      readonly roomMs?: number;
    }
  /** The model refused the values of at least one of its rows. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Its outputs have more bytes than they may, or the model found no memory for it: `message` is for the caller. */
  | {
      readonly kind: 'exceeded';
      readonly message: string;
      /** `process`: other batches ran beside it, and it may have been one of those. */
      readonly by: 'batch' | 'process';
    }
  /** The directory of the mailboxes has no room for it, or for its outputs; `isLasting`: nor would it if it were empty. */
  | { readonly kind: 'no_room'; readonly message: string; readonly isLasting: boolean }
  /** A fault of ours: nothing is known of the rows. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The runner died under it, or was killed because it made no progress: other batches in it may be to blame. */
  | { readonly kind: 'crashed' | 'timed_out'; readonly cause: string }
  /** It made progress until it had run as long as a run may: its runner was killed for it. */
  | { readonly kind: 'overran'; readonly cause: string; readonly maxMs: number }
  /** No caller waited for it any more, and its runner was killed for requests that waited for the instance. */
  | { readonly kind: 'abandoned'; readonly cause: string }
  /** Its runner was killed for another batch, which overran or was abandoned. */
  | { readonly kind: 'interrupted'; readonly cause: string }
  /** It was not run: the circuit breaker is open. */
  | { readonly kind: 'rejected'; readonly retryAfterMs: number };

/** Who waits while a batch runs. */
export interface RunDemand {
  /** How long such a batch takes, in milliseconds, as far as that is known; 0 otherwise. */
  readonly expectedMs: number;
  /** No caller waits for its answer any more, and other requests wait for its instance. */
  readonly isInTheWay: () => boolean;
}

/** Runs batches on the instances of one model version. */
export interface Executor {
  readonly instances: number;
  /** Instances that would take a batch now. */
  readonly idle: number;
  readonly gate: Gate;
  /** Takes an idle instance at once; never rejects. */
  run(batch: Batch, demand: RunDemand): Promise<RunOutcome>;
}
