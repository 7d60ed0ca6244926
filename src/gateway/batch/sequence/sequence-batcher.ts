/**
 * Sequence batching: requests with one correlation id run one after the other, and the model's state goes from each to the
 * next. The sessions keep nothing, so the state lives here: any instance runs any row, a batch mixes sequences freely, and
 * a replay after a crash starts from the same state. The queue behind it forms the batches.
 *
 * SEQ-1: of a sequence at most one request is handed on and unsettled; they are handed on in the order of arrival.
 * SEQ-2: a request changes the state of its sequence if, and only if, it is answered.
 * SEQ-3: a state is replaced, never changed in place: a batch that was given up may still read it.
 * SEQ-4: START and END hold from the arrival of an accepted request, whatever becomes of it.
 * SEQ-5: at most `maxSequences` have a state, in at most `maxSequenceBytes`; at most `slots` of them hand requests on.
 */

import type { Call, CancelReason } from '../../accept/call.ts';
import { cancelled } from '../../accept/cancellation.ts';
import { limit, reject, release, resolve, watch } from '../../accept/waiter.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { RequestTerms, SequenceTerms } from '../../admit/request-terms.ts';
import { InferError } from '../../errors.ts';
import type { Batcher } from '../batcher.ts';
import type { Forecast, RequestSize } from '../forecast.ts';
import { type QueuePolicy, timeLimitMs } from '../queue-policy.ts';
import type { InferOutputs } from '../queued-request.ts';
import { tooManyBytesWait, tooManyWaitInAll, withPushback } from '../refusals.ts';
import { IdleSequences } from './idle-sequences.ts';
import { Sequence, type SequencedRequest } from './sequence.ts';
import { idBytes, SequenceInputs } from './sequence-inputs.ts';
import type { SequenceOptions } from './sequence-options.ts';
import { noCorrelationId, notOneRow, notStarted, sequencesTooLarge, tooManySequences } from './sequence-refusals.ts';

export class SequenceBatcher implements Batcher {
  readonly #options: SequenceOptions;
  readonly #next: Batcher;
  readonly #inputs: SequenceInputs;
  /** Those that take requests, by correlation id. */
  readonly #open = new Map<SequenceTerms['id'], Sequence>();
  /** Those, and the ended ones that are not worked off. */
  readonly #live = new Set<Sequence>();
  readonly #idle: IdleSequences;
  /** Those that wait for a slot, in the order in which they asked. */
  readonly #backlog = new Set<Sequence>();
  #freeSlots: number;
  /** Bytes of the states of all open sequences. */
  #heldBytes = 0;
  #waiting = 0;
  /** All unsettled requests. */
  #bytes = 0;
  #unsettled = 0;
  readonly #drainWaiters: (() => void)[] = [];

  /** @param next what runs the requests of different sequences together. */
  constructor(options: SequenceOptions, next: Batcher) {
    this.#options = options;
    this.#next = next;
    this.#inputs = new SequenceInputs(options.inputs, options.states, options.controls);
    this.#idle = new IdleSequences(options.idleMs, (sequence) => this.#forget(sequence));
    this.#freeSlots = options.slots;
  }

  get queuedRequests(): number {
    return this.#waiting + this.#next.queuedRequests;
  }

  get queuedRows(): number {
    return this.#waiting + this.#next.queuedRows;
  }

  get sequences(): number {
    return this.#live.size;
  }

  /**
   * Resolves with the request's outputs, states among them.
   * @throws InferError `invalid_request` or `queue_full` at once; later what the batcher behind throws.
   */
  enqueue(tensors: InferTensors, call: Call, terms: RequestTerms): Promise<InferOutputs> {
    return new Promise((resolve, reject) => {
      // An error thrown in here rejects the promise.
      const { queues } = this.#options;
      const policy = queues.at(queues.levelOf(terms));
      const sequence = this.#admit(tensors, terms.sequence, policy);
      const request: SequencedRequest = {
        sequence,
        tensors,
        call,
        terms,
        arrivalMs: performance.now(),
        limitMs: timeLimitMs(policy, terms),
        postpones: policy.timeoutAction === 'delay',
        start: terms.sequence?.start === true,
        end: terms.sequence?.end === true,
        settled: false,
        timer: undefined,
        resolve,
        reject,
      };
      sequence.push(request);
      this.#waiting++;
      this.#unsettled++;
      this.#bytes += tensors.bytes;
      this.#idle.delete(sequence);
      this.#advance(sequence);
      if (sequence.waiting.at(-1) === request) this.#watch(request);
    });
  }

  forecast(request: RequestSize): Forecast {
    return this.#next.forecast(request);
  }

  abandon(error: InferError): void {
    this.#backlog.clear();
    for (const sequence of this.#live) {
      for (const request of sequence.waiting.splice(0)) {
        this.#waiting--;
        this.#reject(request, error);
      }
      sequence.ended = true;
      this.#open.delete(sequence.id);
      if (!sequence.running) this.#forget(sequence);
    }
    this.#next.abandon(error);
  }

  async drained(): Promise<void> {
    if (this.#unsettled > 0) await new Promise<void>((resolve) => this.#drainWaiters.push(resolve));
    await this.#next.drained();
  }

  /**
   * The sequence that the request belongs to, begun by it or before.
   * @throws InferError; then nothing has changed.
   */
  #admit(tensors: InferTensors, terms: SequenceTerms | undefined, { maxRequests }: QueuePolicy): Sequence {
    const { model, maxQueueBytes } = this.#options;
    if (tensors.rows !== 1) throw notOneRow(model);
    if (terms === undefined) throw noCorrelationId(model);
    const { id, start, end } = terms;
    let sequence = this.#open.get(id);
    if (sequence === undefined && !start) throw notStarted(model, id);
    if (this.queuedRequests >= maxRequests) throw withPushback(tooManyWaitInAll(maxRequests), 0);
    if (this.#bytes + tensors.bytes > maxQueueBytes) {
      throw withPushback(tooManyBytesWait(this.#bytes, maxQueueBytes, tensors.bytes), 0);
    }
    sequence ??= this.#begin(id);
    if (end) {
      sequence.ended = true;
      this.#open.delete(id);
    }
    return sequence;
  }

  #begin(id: SequenceTerms['id']): Sequence {
    const { model, maxSequences, maxSequenceBytes } = this.#options;
    const correlationIds = this.#inputs.encodeId(id);
    const bytes = this.#inputs.stateBytes + idBytes(id, correlationIds);
    if (this.#live.size >= maxSequences) throw tooManySequences(model, maxSequences, this.#idle.nextExpiryMs);
    if (this.#live.size > 0 && this.#heldBytes + bytes > maxSequenceBytes) {
      const held = { sequences: this.#live.size, bytes: this.#heldBytes, maxBytes: maxSequenceBytes };
      throw sequencesTooLarge(model, held, bytes, this.#idle.nextExpiryMs);
    }
    const sequence = new Sequence(id, correlationIds, this.#inputs.initial, bytes);
    this.#heldBytes += bytes;
    this.#open.set(id, sequence);
    this.#live.add(sequence);
    return sequence;
  }

  /** A request that waits in its sequence may be cancelled, or its time may pass. */
  #watch(request: SequencedRequest): void {
    const { call, limitMs, arrivalMs, postpones } = request;
    if (call.cancelled) {
      this.#withdraw(request, 'client');
      return;
    }
    watch(request, this.#withdraw);
    // A request cannot go behind others of its sequence.
    if (!postpones) limit(request, limitMs, arrivalMs, this.#withdraw);
  }

  readonly #withdraw = (request: SequencedRequest, reason: CancelReason): void => {
    const { sequence } = request;
    if (!sequence.withdraw(request)) return;
    this.#waiting--;
    this.#reject(request, cancelled(reason));
    this.#advance(sequence);
  };

  /** Hands on what may go next, if anything. */
  #advance(sequence: Sequence): void {
    if (sequence.running) return;
    const request = sequence.waiting[0];
    if (request === undefined) {
      this.#backlog.delete(sequence);
      if (sequence.ended) this.#forget(sequence);
      else this.#idle.add(sequence);
      return;
    }
    if (!sequence.placed) {
      if (this.#freeSlots === 0) {
        this.#backlog.add(sequence);
        return;
      }
      this.#freeSlots--;
      sequence.placed = true;
    }
    sequence.waiting.shift();
    this.#waiting--;
    this.#send(sequence, request);
  }

  #send(sequence: Sequence, request: SequencedRequest): void {
    const { tensors, call, limitMs, arrivalMs } = request;
    // The queue behind holds the call from here on.
    release(request);
    if (request.start) sequence.begin();
    sequence.running = true;
    const waitedMs = performance.now() - arrivalMs;
    const timeoutMs = limitMs === Number.POSITIVE_INFINITY ? undefined : limitMs - waitedMs;
    const terms = timeoutMs === undefined ? request.terms : { ...request.terms, timeoutMs };
    this.#next.enqueue(this.#inputs.compose(tensors, sequence, request.end), call, terms).then(
      (answer) => this.#answer(sequence, request, answer, waitedMs),
      (error: unknown) => this.#fail(sequence, request, InferError.from(error)),
    );
  }

  #answer(sequence: Sequence, request: SequencedRequest, { outputs, timing }: InferOutputs, waitedMs: number): void {
    let states: readonly Uint8Array[];
    try {
      states = this.#inputs.statesOf(outputs);
    } catch (error) {
      this.#fail(sequence, request, InferError.from(error));
      return;
    }
    sequence.proceed(states);
    sequence.running = false;
    this.#settled(request);
    resolve(request, { outputs, timing: { ...timing, queueMs: timing.queueMs + waitedMs } });
    this.#advance(sequence);
  }

  #fail(sequence: Sequence, request: SequencedRequest, error: InferError): void {
    sequence.running = false;
    this.#reject(request, error);
    this.#advance(sequence);
  }

  #reject(request: SequencedRequest, error: InferError): void {
    this.#settled(request);
    reject(request, error);
  }

  #settled({ tensors }: SequencedRequest): void {
    this.#bytes -= tensors.bytes;
    this.#unsettled--;
    if (this.#unsettled === 0) for (const resolve of this.#drainWaiters.splice(0)) resolve();
  }

  /** Frees the state of a sequence that has ended or has been idle for too long. */
  #forget(sequence: Sequence): void {
    if (!this.#live.delete(sequence)) return;
    this.#heldBytes -= sequence.bytes;
    this.#idle.delete(sequence);
    this.#backlog.delete(sequence);
    if (this.#open.get(sequence.id) === sequence) this.#open.delete(sequence.id);
    if (!sequence.placed) return;
    sequence.placed = false;
    this.#freeSlots++;
    const [next] = this.#backlog;
    if (next === undefined) return;
    this.#backlog.delete(next);
    this.#advance(next);
  }
}
