/** Requests that belong together, from the first with START to the end, and what the model remembers between them. */

import type { Waiter } from '../../accept/waiter.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { RequestTerms, SequenceTerms } from '../../admit/request-terms.ts';
import type { InferOutputs } from '../queued-request.ts';

/** A request of a sequence, until it is handed on. */
export interface SequencedRequest extends Waiter<InferOutputs> {
  readonly sequence: Sequence;
  readonly tensors: InferTensors;
  readonly terms: RequestTerms;
  readonly arrivalMs: number;
  /** After how many milliseconds it is given up while it waits; `Infinity`: when its call ends. */
  readonly limitMs: number;
  /** It is not given up then, but goes behind the requests of other sequences. */
  readonly postpones: boolean;
  start: boolean;
  readonly end: boolean;
}

export class Sequence {
  readonly id: SequenceTerms['id'];
  /** The correlation id as the model's controls take it, in their order. */
  readonly correlationIds: readonly Uint8Array[];
  /** Bytes of an open sequence. */
  readonly bytes: number;
  /** In the order of arrival. */
  readonly waiting: SequencedRequest[] = [];
  /** A request of it was handed on, and is not settled. */
  running = false;
  /** END has arrived, or the sequence was idle for too long: it is forgotten after its last request. */
  ended = false;
  placed = false;
  /** Since when nothing of it waits or runs, on the clock of `performance.now()`. */
  idleSince = 0;
  readonly #initial: readonly Uint8Array[];
  #states: readonly Uint8Array[];
  #fresh = true;
  /** A START was cancelled: the next request starts the sequence instead. */
  #restart = false;

  constructor(
    id: SequenceTerms['id'],
    correlationIds: readonly Uint8Array[],
    initial: readonly Uint8Array[],
    bytes: number,
  ) {
    this.id = id;
    this.correlationIds = correlationIds;
    this.bytes = bytes;
    this.#initial = initial;
    this.#states = initial;
  }

  /** States for the next run. */
  get states(): readonly Uint8Array[] {
    return this.#states;
  }

  /** Nothing of it has been answered since it began. */
  get fresh(): boolean {
    return this.#fresh;
  }

  push(request: SequencedRequest): void {
    if (this.#restart) request.start = true;
    this.#restart = false;
    this.waiting.push(request);
  }

  /** Removes a request that will not run; what its START says holds for the next. False where it does not wait. */
  withdraw(request: SequencedRequest): boolean {
    const index = this.waiting.indexOf(request);
    if (index < 0) return false;
    this.waiting.splice(index, 1);
    if (!request.start) return true;
    const next = this.waiting[index];
    if (next === undefined) this.#restart = true;
    else next.start = true;
    return true;
  }

  begin(): void {
    this.#states = this.#initial;
    this.#fresh = true;
  }

  /** A request was answered. @param states new ones: those before may still be read. */
  proceed(states: readonly Uint8Array[]): void {
    this.#states = states;
    this.#fresh = false;
  }
}
