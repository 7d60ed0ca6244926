/**
 * What waits for one model version: a bucket for each shape, each in the order of the turns, and in the order of arrival where
 * turns are equal. Bounded in requests for each level of priority, and in bytes over all of them.
 */

import { InferError } from '../errors.ts';
import { LAST_TURN, type QueuePolicies } from './queue-policy.ts';
import type { QueuedRequest } from './queued-request.ts';

export class RequestQueue {
  readonly #policies: QueuePolicies;
  readonly #maxBytes: number;
  readonly #buckets = new Map<string, QueuedRequest[]>();
  /** By level, counted from 0. */
  readonly #requestsOf: number[];
  /** The same, of those that do not wait behind all others. */
  readonly #rowsOf: number[];
  #requests = 0;
  #rows = 0;
  #bytes = 0;

  constructor(policies: QueuePolicies, maxBytes: number) {
    this.#policies = policies;
    this.#maxBytes = maxBytes;
    this.#requestsOf = Array<number>(policies.levels).fill(0);
    this.#rowsOf = Array<number>(policies.levels).fill(0);
  }

  get requests(): number {
    return this.#requests;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Rows that go before a request of this level which comes now; of less urgent levels few do, and none is counted. */
  rowsBefore(level: number): number {
    let rows = 0;
    for (let index = 0; index < level; index++) rows += this.#rowsOf[index] ?? 0;
    return rows;
  }

  /** The buckets that hold something. */
  get buckets(): ReadonlyMap<string, readonly QueuedRequest[]> {
    return this.#buckets;
  }

  /** @throws InferError `queue_full`, which names the bound that was reached. */
  push(request: QueuedRequest): void {
    const { level, tensors } = request;
    const { maxRequests } = this.#policies.at(level);
    if ((this.#requestsOf[level - 1] ?? 0) >= maxRequests) {
      const whose = this.#policies.levels === 1 ? 'requests' : `requests of priority ${level}`;
      throw new InferError('queue_full', `Exceeds maximum queue size: ${maxRequests} ${whose} wait (max_queue_size)`);
    }
    if (this.#bytes + tensors.bytes > this.#maxBytes) {
      const text = `Exceeds maximum queue size: ${this.#bytes} of ${this.#maxBytes} bytes wait, ${tensors.bytes} more do not fit (max_queue_bytes)`;
      throw new InferError('queue_full', text);
    }
    this.#put(request);
  }

  /** Puts a request behind all others, wherever it waits; false where it does not. */
  postpone(request: QueuedRequest): boolean {
    if (!this.remove(request)) return false;
    request.turn = LAST_TURN;
    this.#put(request);
    return true;
  }

  /** Removes and gives the first `count` requests of a bucket. */
  take(key: string, count: number): QueuedRequest[] {
    const bucket = this.#buckets.get(key) ?? [];
    const taken = bucket.splice(0, count);
    if (bucket.length === 0) this.#buckets.delete(key);
    for (const request of taken) this.#count(request, -1);
    return taken;
  }

  /** Removes one request wherever it waits; false where it does not. */
  remove(request: QueuedRequest): boolean {
    const bucket = this.#buckets.get(request.tensors.bucket);
    const index = bucket?.indexOf(request) ?? -1;
    if (bucket === undefined || index < 0) return false;
    bucket.splice(index, 1);
    if (bucket.length === 0) this.#buckets.delete(request.tensors.bucket);
    this.#count(request, -1);
    return true;
  }

  /** Removes and gives every request for which `condition` holds. */
  sweep(condition: (request: QueuedRequest) => boolean): QueuedRequest[] {
    const swept: QueuedRequest[] = [];
    for (const [key, bucket] of this.#buckets) {
      if (!bucket.some(condition)) continue;
      const kept: QueuedRequest[] = [];
      for (const request of bucket) {
        if (condition(request)) {
          swept.push(request);
          this.#count(request, -1);
        } else kept.push(request);
      }
      if (kept.length === 0) this.#buckets.delete(key);
      else this.#buckets.set(key, kept);
    }
    return swept;
  }

  #put(request: QueuedRequest): void {
    this.#count(request, 1);
    const bucket = this.#buckets.get(request.tensors.bucket);
    if (bucket === undefined) {
      this.#buckets.set(request.tensors.bucket, [request]);
      return;
    }
    const last = bucket.at(-1);
    // Without levels always so.
    if (last === undefined || last.turn <= request.turn) bucket.push(request);
    else bucket.splice(indexAfter(bucket, request.turn), 0, request);
  }

  #count({ rows, tensors, level, turn }: QueuedRequest, sign: 1 | -1): void {
    this.#requests += sign;
    this.#rows += sign * rows;
    this.#bytes += sign * tensors.bytes;
    this.#requestsOf[level - 1] = (this.#requestsOf[level - 1] ?? 0) + sign;
    if (turn !== LAST_TURN) this.#rowsOf[level - 1] = (this.#rowsOf[level - 1] ?? 0) + sign * rows;
  }
}

/** Where the first request with a later turn stands. */
function indexAfter(bucket: readonly QueuedRequest[], turn: number): number {
  let low = 0;
  let high = bucket.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bucket[middle]?.turn ?? LAST_TURN) <= turn) low = middle + 1;
    else high = middle;
  }
  return low;
}
