/**
 * The waiting requests of one model version: flows, each in the order in which its answers are due. Bounded in requests for each level of
 * priority, and in bytes over all of them. When it is full, the largest flow gives way to a smaller one.
 *
 * A request that leaves stays in the list of its flow until the next survey, or until half of the list has left: a cancellation
 * costs no search.
 */

import type { InferError } from '../errors.ts';
import { Backlog, type PredictBatch } from './backlog.ts';
import { indexAfter } from './due-order.ts';
import { FairQueueing, type Flow, type FlowKey, type Share } from './fair-queueing.ts';
import { LAST_TAG, type QueuePolicies } from './queue-policy.ts';
import type { QueuedRequest } from './queued-request.ts';
import { tooManyBytesWait, tooManyWait, withPushback } from './refusals.ts';

/** Outlook of a waiting request. */
export type Verdict =
  /** It is answered in time if it runs now. */
  | 'promising'
  /** It may be answered in time, if the run is as fast as the fastest ones. */
  | 'doubtful'
  /** It is not answered in time. */
  | 'hopeless'
  /** Its time is over. */
  | 'expired';

export interface Survey {
  /** By bucket, in order of their tags. */
  readonly promising: ReadonlyMap<string, readonly QueuedRequest[]>;
  readonly doubtful: readonly QueuedRequest[];
  readonly hopeless: readonly QueuedRequest[];
  /** Those wait no longer. */
  readonly expired: readonly QueuedRequest[];
}

/** Requests of one flow, ascending by when they are due. */
interface Line {
  requests: QueuedRequest[];
  /** How many of them have left. */
  left: number;
}

const NONE: readonly QueuedRequest[] = [];
/** A list with fewer requests that have left is not worth shortening. */
const FEW_LEFT = 32;

export class RequestQueue {
  readonly #policies: QueuePolicies;
  readonly #maxBytes: number;
  readonly #fairQueueing = new FairQueueing();
  readonly #backlog: Backlog;
  readonly #lines = new Map<Flow, Line>();
  /** Those that had their time and wait behind all others, in the order in which it was over. */
  #postponed: QueuedRequest[] = [];
  /** By level, counted from 0. */
  readonly #requestsOf: number[];
  #requests = 0;
  #rows = 0;
  #bytes = 0;

  /** @param batch what a batch costs, and the rows of a full one */
  constructor(
    policies: QueuePolicies,
    maxBytes: number,
    batch: { readonly predict: PredictBatch; readonly maxRows: number },
  ) {
    this.#policies = policies;
    this.#maxBytes = maxBytes;
    this.#backlog = new Backlog(batch.predict, batch.maxRows);
    this.#requestsOf = Array<number>(policies.levels).fill(0);
  }

  get requests(): number {
    return this.#requests;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Predicted time of the batches of all that waits. */
  get ms(): number {
    return this.#backlog.ms;
  }

  flowOf(key: FlowKey): Flow {
    return this.#fairQueueing.flowOf(key);
  }

  workMs(tensors: QueuedRequest['tensors']): number {
    return this.#backlog.workMs(tensors);
  }

  /** Predicted time of the batches that go before a request which comes now. */
  msBefore({ flow, due }: Pick<QueuedRequest, 'flow' | 'due'>): number {
    const line = this.#lines.get(flow);
    const ahead =
      line === undefined || line.requests.length === 0 ? 1 : indexAfter(line.requests, due) / line.requests.length;
    return this.#msOf(this.#fairQueueing.workBefore(flow, ahead * flow.workMs));
  }

  /** Predicted time of the batches that go until all of the flow is sent that waits now. */
  drainMs(flow: Flow): number {
    return this.#msOf(this.#fairQueueing.workBefore(flow, flow.workMs));
  }

  /** Predicted time of the batches of so much of the work that waits. */
  #msOf(workMs: number): number {
    const all = this.#fairQueueing.workMs;
    return all === 0 ? 0 : (workMs / all) * this.#backlog.ms;
  }

  /** Why a request of the flow finds no place, however few bytes it has, if so. It is to come back after `waitMs`. */
  refusal(flow: Flow, tensors: QueuedRequest['tensors'], waitMs: number): InferError | undefined {
    const { level } = flow;
    if (!this.#isFull(level) || this.#largerOfLevel(flow, this.workMs(tensors)) !== undefined) return undefined;
    return withPushback(tooManyWait(this.#policies, level), waitMs);
  }

  /**
   * @returns the requests that give way to it, and wait no longer
   * @throws InferError `queue_full`, which names the bound that was reached
   */
  push(request: QueuedRequest): readonly QueuedRequest[] {
    const victims = this.#makeRoom(request.flow, request.workMs, request.bytes);
    this.#enter(request);
    return victims;
  }

  /** Likewise for the parts of one request: all of them enter, or none. @param cut makes them where there is room */
  pushParts(whole: QueuedRequest, cut: () => readonly QueuedRequest[]): readonly QueuedRequest[] {
    const victims = this.#makeRoom(whole.flow, whole.workMs, whole.bytes);
    for (const part of cut()) this.#enter(part);
    return victims;
  }

  /** Nothing leaves the queue for a request that it cannot take. */
  #makeRoom(flow: Flow, workMs: number, bytes: number): readonly QueuedRequest[] {
    const { level } = flow;
    const isFull = this.#isFull(level);
    const isHeavy = this.#bytes + bytes > this.#maxBytes;
    if (!isFull && !isHeavy) return NONE;
    const longer = isFull ? this.#largerOfLevel(flow, workMs) : undefined;
    if (isFull && longer === undefined) throw tooManyWait(this.#policies, level);
    const heavier = isHeavy ? this.#larger(flow, 'bytes', bytes, (other) => other >= level) : undefined;
    if (isHeavy && heavier === undefined) throw tooManyBytesWait(this.#bytes, this.#maxBytes, bytes);
    const victims = longer === undefined ? [] : this.#shorten(longer, () => this.#isFull(level));
    if (heavier !== undefined) victims.push(...this.#shorten(heavier, () => this.#bytes + bytes > this.#maxBytes));
    return victims;
  }

  /** Puts a request behind all others, wherever it waits; false where it does not. */
  postpone(request: QueuedRequest): boolean {
    if (!this.leave(request)) return false;
    request.tag = LAST_TAG;
    request.isWaiting = true;
    this.#postponed.push(request);
    this.#count(request, 1);
    return true;
  }

  /** A request is not to be run; false where it does not wait. */
  leave(request: QueuedRequest): boolean {
    if (!request.isWaiting) return false;
    if (request.tag !== LAST_TAG) this.#fairQueueing.leave(request.flow, request);
    this.#drop(request);
    return true;
  }

  /** Requests that wait are run now. */
  send(requests: readonly QueuedRequest[]): void {
    for (const request of requests) {
      if (!request.isWaiting) continue;
      if (request.tag !== LAST_TAG) this.#fairQueueing.send(request.flow, request);
      this.#drop(request);
    }
  }

  /** Removes and returns what `condition` holds for. */
  sweep(condition: (request: QueuedRequest) => boolean): QueuedRequest[] {
    const all = [...this.#lines.values()].flatMap(({ requests }) => requests).concat(this.#postponed);
    return all.filter((request) => request.isWaiting && condition(request) && this.leave(request));
  }

  /** Looks at everything that waits, and gives the promising requests their tags. */
  survey(judge: (request: QueuedRequest) => Verdict): Survey {
    const promising = new Map<string, QueuedRequest[]>();
    const others = { doubtful: [] as QueuedRequest[], hopeless: [] as QueuedRequest[], expired: [] as QueuedRequest[] };
    const isMixed = this.#lines.size > 1;
    const sort = (request: QueuedRequest): boolean => {
      const verdict = judge(request);
      if (verdict !== 'promising') {
        others[verdict].push(request);
        return false;
      }
      const bucket = promising.get(request.tensors.bucket);
      if (bucket === undefined) promising.set(request.tensors.bucket, [request]);
      else bucket.push(request);
      return true;
    };
    for (const [flow, line] of this.#lines) {
      this.#tidy(flow, line);
      let start = flow.start;
      const { pace } = flow;
      for (const request of line.requests) {
        const finish = start + request.workMs * pace;
        request.tag = finish;
        if (sort(request)) start = finish;
      }
    }
    if (isMixed) for (const bucket of promising.values()) bucket.sort((a, b) => a.tag - b.tag || a.due - b.due);
    for (const request of this.#postponed) if (request.isWaiting) sort(request);
    for (const request of others.expired) this.leave(request);
    return { promising, ...others };
  }

  #isFull(level: number): boolean {
    return (this.#requestsOf[level - 1] ?? 0) >= this.#policies.at(level).maxRequests;
  }

  #enter(request: QueuedRequest): void {
    const { flow, due } = request;
    let line = this.#lines.get(flow);
    if (line === undefined) {
      line = { requests: [], left: 0 };
      this.#lines.set(flow, line);
    }
    const last = line.requests.at(-1);
    // Nearly always: a flow has requests with about the same time.
    if (last === undefined || last.due <= due) line.requests.push(request);
    else line.requests.splice(indexAfter(line.requests, due), 0, request);
    request.isWaiting = true;
    this.#fairQueueing.enter(flow, request);
    this.#backlog.add(request.tensors);
    this.#count(request, 1);
  }

  #drop(request: QueuedRequest): void {
    request.isWaiting = false;
    this.#count(request, -1);
    if (request.tag === LAST_TAG) {
      const index = this.#postponed.indexOf(request);
      if (index >= 0) this.#postponed.splice(index, 1);
      return;
    }
    this.#backlog.remove(request.tensors);
    const line = this.#lines.get(request.flow);
    if (line === undefined) return;
    line.left++;
    if (line.left === line.requests.length || (line.left > FEW_LEFT && line.left > line.requests.length / 2)) {
      this.#tidy(request.flow, line);
    }
  }

  #tidy(flow: Flow, line: Line): void {
    if (line.left === 0) return;
    line.requests = line.requests.filter(({ isWaiting, tag }) => isWaiting && tag !== LAST_TAG);
    line.left = 0;
    if (line.requests.length === 0) this.#lines.delete(flow);
  }

  /** The flow of the level with the most work, if it has more than `flow` would have with `workMs` more. */
  #largerOfLevel(flow: Flow, workMs: number): Flow | undefined {
    return this.#larger(flow, 'workMs', workMs, (level) => level === flow.level);
  }

  /** The largest flow of those levels, if it is larger than `flow` would be with so much more. */
  #larger(flow: Flow, measure: keyof Share, more: number, isLevel: (level: number) => boolean): Flow | undefined {
    let largest: Flow | undefined;
    let size = (flow[measure] + more) * flow.pace;
    for (const other of this.#fairQueueing.flows) {
      if (other === flow || !isLevel(other.level) || other[measure] * other.pace <= size) continue;
      largest = other;
      size = other[measure] * other.pace;
    }
    return largest;
  }

  /** Lets the requests of a flow go that are due last, until `isNeeded` says no. */
  #shorten(flow: Flow, isNeeded: () => boolean): QueuedRequest[] {
    const gone: QueuedRequest[] = [];
    const { requests = [] } = this.#lines.get(flow) ?? {};
    for (let index = requests.length - 1; index >= 0 && isNeeded(); index--) {
      const request = requests[index];
      if (request !== undefined && this.leave(request)) gone.push(request);
    }
    return gone;
  }

  /** The parts of a request are one request: it enters with the first of them, and leaves with the last. */
  #count({ rows, bytes, level, whole }: QueuedRequest, sign: 1 | -1): void {
    this.#rows += sign * rows;
    this.#bytes += sign * bytes;
    if (whole?.isStillThere(sign) === true) return;
    this.#requests += sign;
    this.#requestsOf[level - 1] = (this.#requestsOf[level - 1] ?? 0) + sign;
  }
}
