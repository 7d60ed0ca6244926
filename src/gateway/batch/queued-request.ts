/** A request from admission to its answer, as the queue and the batch know it. */

import type { Datatype, Shape } from '../../wire/tensor.ts';
import type { OutputMemory } from '../../worker/run-outcome.ts';
import type { Waiter } from '../accept/waiter.ts';
import type { InferTensors } from '../admit/infer-tensors.ts';
import type { RequestTerms } from '../admit/request-terms.ts';
import type { CacheOutcome } from '../ops/diagnostics.ts';
import type { Flow, Share } from './fair-queueing.ts';
import type { Occupancy } from './occupancy.ts';
import type { RequestTimes } from './request-times.ts';
import type { Waiting } from './waiting.ts';

/** One output of a model, or one request's part of it; `data` is in raw form, and may be a view. */
export interface OutputTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: Shape;
  readonly data: Uint8Array;
  /** By row of a batch: how much of axis 1 is its own. The rest is padding. Absent where all rows have one length. */
  readonly rowLengths?: readonly number[] | undefined;
}

/** Where the time of a request went, in milliseconds, and in what company. */
export interface RequestTiming {
  readonly queueMs: number;
  readonly inputMs: number;
  readonly computeMs: number;
  readonly outputMs: number;
  readonly batchRows: number;
  /** Look-up in the response cache; absent without one. */
  readonly cache?: CacheLookup;
}

export interface CacheLookup {
  readonly outcome: CacheOutcome;
  /** How long it took to look, and to keep the answer of a miss. */
  readonly ms: number;
}

export interface InferOutputs {
  readonly outputs: readonly OutputTensor[];
  /** Memory that the outputs are views of, to be given back by their only reader. Absent where they are kept, or not the run's own. */
  readonly memory?: OutputMemory | undefined;
  readonly timing: RequestTiming;
  /** True where no run, no output, and nothing that is kept holds a view of the request's tensors; absent where that is not known. */
  readonly requestIsSpent?: boolean;
}

/** A request that comes, as far as admission judges it. */
export interface Arrival extends Omit<RequestTimes, 'limitMs'> {
  readonly tensors: InferTensors;
  readonly rows: number;
  readonly arrivalMs: number;
  readonly behind: RequestTerms['behind'];
  readonly flow: Flow;
}

export interface QueuedRequest extends Waiter<InferOutputs>, Arrival, Waiting, Share, RequestTimes {
  /** `objectiveAt` as long as that can be met, otherwise `latestAt`; less what waits before the steps behind it. */
  deadline: number;
  readonly flow: Flow;
  /** Takes answers before the last one, where its caller takes them. */
  readonly send: RequestTerms['send'];
  /** It was given an answer: another run would give it again. */
  hasAnswers: boolean;
  /** Changes with each survey of the queue; `LAST_TAG` once it waits behind all others. */
  tag: number;
  isWaiting: boolean;
  /** True once a runner died or hung under it: it is replayed once, by itself. */
  suspect: boolean;
  /** When its batch was sent; 0 before. */
  sentAtMs: number;
  /** Where its rows count from when it is taken until it is settled. */
  occupancy: Occupancy | undefined;
  /** The request that it is a part of; `undefined` for a request that fits into one batch. */
  readonly whole: SplitWhole | undefined;
}

/** A request whose parts wait in its place. */
export interface SplitWhole {
  /**
   * To be called when a part enters the queue, or leaves it.
   * @returns whether other parts were there before, and are there afterwards
   */
  isStillThere(sign: 1 | -1): boolean;
}
