/** Predicted time of the batches that what waits will make, kept up to date bucket by bucket: admission only reads the sum. */

import type { InferTensors } from '../admit/infer-tensors.ts';
import { batchesMs } from './batches-time.ts';

/** Milliseconds that a batch of such rows takes; `undefined` where that is not known. */
export type PredictBatch = (tensors: InferTensors, rows: number) => number | undefined;

interface BucketBacklog {
  rows: number;
  ms: number;
}

export class Backlog {
  readonly #predict: PredictBatch;
  readonly #maxRows: number;
  readonly #buckets = new Map<string, BucketBacklog>();
  #ms = 0;

  /** @param maxRows rows of a full batch */
  constructor(predict: PredictBatch, maxRows: number) {
    this.#predict = predict;
    this.#maxRows = maxRows;
  }

  /** Time of the batches of all buckets, each at its own cost. */
  get ms(): number {
    return this.#ms;
  }

  /** Time that rows take at the rate of full batches of their bucket. */
  workMs(tensors: InferTensors): number {
    const full = this.#predict(tensors, this.#maxRows);
    // Where nothing is known all rows cost the same.
    return full === undefined ? tensors.rows : (tensors.rows * full) / this.#maxRows;
  }

  add(tensors: InferTensors): void {
    let bucket = this.#buckets.get(tensors.bucket);
    if (bucket === undefined) {
      bucket = { rows: 0, ms: 0 };
      this.#buckets.set(tensors.bucket, bucket);
    }
    this.#resize(bucket, tensors, bucket.rows + tensors.rows);
  }

  remove(tensors: InferTensors): void {
    const bucket = this.#buckets.get(tensors.bucket);
    if (bucket === undefined) return;
    this.#resize(bucket, tensors, bucket.rows - tensors.rows);
    if (bucket.rows > 0) return;
    this.#buckets.delete(tensors.bucket);
    if (this.#buckets.size === 0) this.#ms = 0;
  }

  #resize(bucket: BucketBacklog, tensors: InferTensors, rows: number): void {
    const ms = batchesMs(rows, this.#maxRows, (some) => this.#predict(tensors, some) ?? 0) ?? 0;
    this.#ms += ms - bucket.ms;
    bucket.rows = rows;
    bucket.ms = ms;
  }
}
