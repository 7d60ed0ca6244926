/** The most rows that a batch may have so that its outputs are not too large, learned bucket by bucket. */

import { batchOutputLimit, byteLengthOf } from './output-limit.ts';
import type { OutputTensor } from './queued-request.ts';

/** Buckets that are remembered: those whose outputs were too large first. */
const MAX_BUCKETS = 64;

export class RowLimits {
  readonly #maxOutputBytes: number;
  readonly #maxRows: number;
  readonly #limits = new Map<string, number>();

  /**
   * @param maxOutputBytes bytes that the outputs of one request may have
   * @param maxRows rows that the policy allows
   */
  constructor(maxOutputBytes: number, maxRows: number) {
    this.#maxOutputBytes = maxOutputBytes;
    this.#maxRows = maxRows;
  }

  /** The limit of a bucket; `undefined` where the policy is the limit. */
  of(bucket: string): number | undefined {
    return this.#limits.get(bucket);
  }

  learn(bucket: string, rows: number, outputs: readonly OutputTensor[]): void {
    const limit = Math.floor(batchOutputLimit(this.#maxOutputBytes) / (byteLengthOf(outputs) / rows));
    if (!(limit < this.#maxRows)) {
      if (this.#limits.size > 0) this.#limits.delete(bucket);
      return;
    }
    if (this.#limits.size >= MAX_BUCKETS && !this.#limits.has(bucket)) return;
    this.#limits.set(bucket, Math.max(1, limit));
  }
}
