/** What waits for one model version: a first-in-first-out bucket for each shape, bounded in requests and in bytes over all of them. */

import { InferError } from '../errors.ts';
import type { QueuedRequest } from './queued-request.ts';

export interface QueueBounds {
  readonly maxRequests: number;
  readonly maxBytes: number;
}

export class RequestQueue {
  readonly #bounds: QueueBounds;
  readonly #buckets = new Map<string, QueuedRequest[]>();
  #requests = 0;
  #rows = 0;
  #bytes = 0;

  constructor(bounds: QueueBounds) {
    this.#bounds = bounds;
  }

  get requests(): number {
    return this.#requests;
  }

  get rows(): number {
    return this.#rows;
  }

  /** The buckets that hold something. */
  get buckets(): ReadonlyMap<string, readonly QueuedRequest[]> {
    return this.#buckets;
  }

  /** @throws InferError `queue_full`, which names the bound that was reached. */
  push(request: QueuedRequest): void {
    const { maxRequests, maxBytes } = this.#bounds;
    if (this.#requests >= maxRequests) {
      throw new InferError('queue_full', `Exceeds maximum queue size: ${maxRequests} requests wait (max_queue_size)`);
    }
    if (this.#bytes + request.tensors.bytes > maxBytes) {
      const text = `Exceeds maximum queue size: ${this.#bytes} of ${maxBytes} bytes wait, ${request.tensors.bytes} more do not fit (max_queue_bytes)`;
      throw new InferError('queue_full', text);
    }
    const bucket = this.#buckets.get(request.tensors.bucket);
    if (bucket === undefined) this.#buckets.set(request.tensors.bucket, [request]);
    else bucket.push(request);
    this.#count(request, 1);
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

  #count({ rows, tensors }: QueuedRequest, sign: 1 | -1): void {
    this.#requests += sign;
    this.#rows += sign * rows;
    this.#bytes += sign * tensors.bytes;
  }
}
