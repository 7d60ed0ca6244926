/** Cuts a request that does not fit into one batch into parts that do. */

import { bytesOf } from '../../../wire/tensor-bytes.ts';
import { bucketKey, type InferTensors } from '../../admit/infer-tensors.ts';
import type { LengthAxis } from '../../repository/signature/length-axis.ts';
import type { ModelTensor } from '../../repository/signature/row-axis.ts';
import { outputAxes, partRows } from '../batch.ts';

/** The model whose request it is. */
export interface CutOptions {
  readonly inputs: readonly ModelTensor[];
  /** Most rows of a part. */
  readonly maxRows: number;
  /** Absent where requests of a batch are of equal length. */
  readonly lengths?: LengthAxis | undefined;
}

/**
 * Parts of the most rows, and one for the rest, in order of their rows. Their inputs are views of the request's; only rows that are
 * not on axis 0 are copied, because the parts interleave.
 */
export function cutRows(tensors: InferTensors, { inputs, maxRows, lengths }: CutOptions): InferTensors[] {
  const counts: number[] = [];
  for (let left = tensors.rows; left > 0; left -= maxRows) counts.push(Math.min(left, maxRows));
  const whole = inputs.map(({ name, datatype }, index) => {
    return {
      name,
      datatype,
      shape: tensors.shapes[index] ?? [],
      data: bytesOf(tensors.inputs[index] ?? new Uint8Array(0)),
    };
  });
  const parts = partRows(
    { requests: counts.map((rows) => ({ tensors: { rows } })), rows: tensors.rows },
    whole,
    outputAxes(inputs),
  );
  return parts.map((part, index) => {
    const shapes = part.map(({ shape }) => shape);
    const values = part.map(({ data }) => data);
    return {
      requestId: tensors.requestId,
      rows: counts[index] ?? 0,
      size: tensors.size,
      bytes: values.reduce((sum, { byteLength }) => sum + byteLength, 0),
      // Whether a request is padded depends on the values of its rows.
      bucket: lengths === undefined ? tensors.bucket : bucketKey(shapes, 'rows', inputs, values, lengths),
      inputs: values,
      shapes,
    };
  });
}
