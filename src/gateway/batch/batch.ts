/** Joining requests into one batch along axis 0, and parting its answer again. */

import { bytesRowEnds } from '../../wire/bytes-tensor.ts';
import type { Shape, TensorSpec } from '../../wire/tensor.ts';
import { aligned, type TensorPlace } from '../../worker/protocol.ts';
import type { BatchAxis, InferTensors } from '../admit/infer-tensors.ts';
import type { SendReason } from '../ops/diagnostics.ts';
import type { OutputTensor, QueuedRequest } from './queued-request.ts';

/** Tensors that are run together. */
export interface Load {
  /** In order of their rows. Never empty. */
  readonly requests: readonly { readonly tensors: InferTensors }[];
  readonly rows: number;
}

/** A load that came from the queue. */
export interface Batch extends Load {
  readonly requests: readonly QueuedRequest[];
  readonly reason: SendReason;
}

/** A batch's inputs as they go into the mailbox: where each lies, and the pieces to write one behind the other. */
export interface Gathered {
  readonly places: readonly TensorPlace[];
  readonly chunks: readonly Uint8Array[];
  /** Where the last input ends. */
  readonly end: number;
}

const PADDING = new Uint8Array(64);

/** Lays the inputs of all requests out without copying them: the pieces stay views of the received messages. */
export function gather(batch: Load, inputs: readonly TensorSpec[], axis: BatchAxis): Gathered {
  const places: TensorPlace[] = [];
  const chunks: Uint8Array[] = [];
  let end = 0;
  for (const [index, { name, datatype }] of inputs.entries()) {
    const offset = aligned(end);
    if (offset > end) chunks.push(PADDING.subarray(0, offset - end));
    end = offset;
    for (const { tensors } of batch.requests) {
      const piece = tensors.inputs[index];
      if (piece === undefined) throw new TypeError(`request without input ${index}`);
      chunks.push(piece);
      end += piece.byteLength;
    }
    const first: Shape = batch.requests[0]?.tensors.shapes[index] ?? [];
    const shape = axis === 'rows' ? [batch.rows, ...first.slice(1)] : first;
    places.push({ name, datatype, shape, offset, byteLength: end - offset });
  }
  return { places, chunks, end };
}

/**
 * Each request's rows of the batch's outputs, as views, in the order of the requests.
 * @throws Error where an output's first axis is not the number of rows: such a model must not be batched.
 */
export function scatter(batch: Load, outputs: readonly OutputTensor[], axis: BatchAxis): OutputTensor[][] {
  if (axis === 'whole' || batch.requests.length === 1) return batch.requests.map(() => [...outputs]);
  const parts: OutputTensor[][] = batch.requests.map(() => []);
  for (const output of outputs) {
    if (output.shape[0] !== batch.rows) {
      throw new Error(
        `output '${output.name}' of a batch of ${batch.rows} rows has the shape [${output.shape}]: its first axis is no batch axis`,
      );
    }
    const ends = rowEnds(output, batch.rows);
    let row = 0;
    let from = 0;
    for (const [index, { tensors }] of batch.requests.entries()) {
      row += tensors.rows;
      const to = ends(row);
      parts[index]?.push({
        ...output,
        shape: [tensors.rows, ...output.shape.slice(1)],
        data: output.data.subarray(from, to),
      });
      from = to;
    }
  }
  return parts;
}

/** The byte offset at which the first `row` rows end. */
function rowEnds({ datatype, shape, data }: OutputTensor, rows: number): (row: number) => number {
  if (datatype !== 'BYTES') {
    const bytesPerRow = rows === 0 ? 0 : data.byteLength / rows;
    return (row) => row * bytesPerRow;
  }
  const elementsPerRow = shape.slice(1).reduce((product, size) => product * size, 1);
  const ends = bytesRowEnds(data, elementsPerRow, rows);
  return (row) => (row === 0 ? 0 : (ends[row - 1] ?? data.byteLength));
}
