/** Smallest and largest size of a request so far: bounds for a request before it is decoded. */

import type { InferTensors } from '../admit/infer-tensors.ts';

export class SeenSizes {
  /** One row of the smallest size; `undefined` before the first request. */
  lightest: InferTensors | undefined;
  /** As many rows as any request had, of the largest size: the same object while all had one row of one size. */
  heaviest: InferTensors | undefined;

  note(tensors: InferTensors): void {
    const { rows, bytes, size } = tensors;
    const { lightest, heaviest } = this;
    if (lightest === undefined || size.elements < lightest.size.elements) {
      this.lightest = withoutContents(tensors, 1, bytes / rows);
    }
    if (heaviest === undefined) {
      this.heaviest = rows === 1 ? this.lightest : withoutContents(tensors, rows, bytes);
    } else if (size.elements > heaviest.size.elements || rows > heaviest.rows) {
      const larger = size.elements > heaviest.size.elements ? tensors : heaviest;
      this.heaviest = withoutContents(larger, Math.max(rows, heaviest.rows), Math.max(bytes, heaviest.bytes));
    }
  }
}

/** The contents would keep the message of a request alive. */
function withoutContents({ size, bucket, shapes }: InferTensors, rows: number, bytes: number): InferTensors {
  return { size, bucket, shapes, rows, bytes, inputs: [] };
}
