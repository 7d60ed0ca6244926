/** How large the outputs of a row are, learned bucket by bucket, and the most rows that a batch may have because of them. */

import type { InferTensors } from '../admit/infer-tensors.ts';
import { batchOutputLimit, byteLengthOf } from './output-limit.ts';
import type { OutputTensor } from './queued-request.ts';
import type { Bucket } from './waiting.ts';

/** Buckets that are remembered: those whose outputs were too large first. */
const MAX_BUCKETS = 64;
/** Smaller outputs of a full batch change no decision. */
const MUCH_OUTPUT_BYTES = 2 ** 20;

export class RowLimits {
  readonly #maxOutputBytes: number;
  readonly #maxRows: number;
  readonly #limits = new Map<string, number>();
  /** Bytes of the outputs of one row, where they are many. */
  readonly #outputBytes = new Map<string, number>();

  /**
   * @param maxOutputBytes bytes that the outputs of one request may have
   * @param maxRows rows that the policy allows
   */
  constructor(maxOutputBytes: number, maxRows: number) {
    this.#maxOutputBytes = maxOutputBytes;
    this.#maxRows = maxRows;
  }

  /** The limits of the bucket that a request is in. */
  of(tensors: Pick<InferTensors, 'bucket' | 'bytes' | 'rows'> | undefined): Pick<Bucket, 'maxRows' | 'rowBytes'> {
    if (tensors === undefined) return {};
    const { bucket, bytes, rows } = tensors;
    return { maxRows: this.#limits.get(bucket), rowBytes: bytes / rows + (this.#outputBytes.get(bucket) ?? 0) };
  }

  learn(bucket: string, rows: number, outputs: readonly OutputTensor[]): void {
    const rowBytes = byteLengthOf(outputs) / rows;
    this.#learnBytes(bucket, rowBytes);
    const limit = Math.floor(batchOutputLimit(this.#maxOutputBytes) / rowBytes);
    if (!(limit < this.#maxRows)) {
      if (this.#limits.size > 0) this.#limits.delete(bucket);
      return;
    }
    if (this.#limits.size >= MAX_BUCKETS && !this.#limits.has(bucket)) return;
    this.#limits.set(bucket, Math.max(1, limit));
  }

  #learnBytes(bucket: string, rowBytes: number): void {
    if (rowBytes * this.#maxRows < MUCH_OUTPUT_BYTES) {
      if (this.#outputBytes.size > 0) this.#outputBytes.delete(bucket);
    } else if (this.#outputBytes.size < MAX_BUCKETS || this.#outputBytes.has(bucket)) {
      this.#outputBytes.set(bucket, rowBytes);
    }
  }
}
