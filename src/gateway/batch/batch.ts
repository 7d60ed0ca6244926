/** Joining requests into one batch along each tensor's row axis, and parting its answer again. */

import { bytesRowEnds } from '../../wire/bytes-tensor.ts';
import { DATATYPE_BYTES, elementCount, type Shape } from '../../wire/tensor.ts';
import { bytesOf, type TensorBytes } from '../../wire/tensor-bytes.ts';
import { aligned, type TensorPlace } from '../../worker/protocol.ts';
import type { BatchAxis, InferTensors } from '../admit/infer-tensors.ts';
import type { SendReason } from '../ops/diagnostics.ts';
import type { LengthAxis } from '../repository/signature/length-axis.ts';
import { type ModelTensor, type RowAxis, reshape, withRows } from '../repository/signature/row-axis.ts';
import { cutOutput, cutToLongest, lengthOf, paddedLength, pushPadded, sizeBefore } from './padding.ts';
import type { OutputTensor, QueuedRequest } from './queued-request.ts';
import { copyRuns } from './stripes.ts';

/** Tensors that are run together. */
export interface TensorBatch {
  /** In order of their rows. Never empty. */
  readonly requests: readonly { readonly tensors: InferTensors }[];
  readonly rows: number;
}

/** A batch that came from the queue. */
export interface Batch extends TensorBatch {
  readonly requests: readonly QueuedRequest[];
  readonly reason: SendReason;
}

/** Latest time until which a caller waits for the batch, on the clock of `performance.now()`. */
export function lastExpiry({ requests }: Batch): number {
  return requests.reduce(
    (last, { settled, expiresAt }) => (settled ? last : Math.max(last, expiresAt)),
    Number.NEGATIVE_INFINITY,
  );
}

/** A batch's inputs as a run has them: where each lies, and their pieces, one behind the other. */
export interface Gathered {
  readonly places: readonly TensorPlace[];
  readonly chunks: readonly TensorBytes[];
  readonly end: number;
}

const PADDING = new Uint8Array(64);

/**
 * Lays the inputs of all requests out without copying them: the pieces stay views of the received messages, or landed. Only rows
 * that are not on axis 0 are copied, because the rows of different requests interleave. Shorter requests are padded to the longest.
 * @throws Error where requests of unlike shapes would make a tensor that is none
 */
export function gather(
  batch: TensorBatch,
  inputs: readonly ModelTensor[],
  axis: BatchAxis,
  lengths?: LengthAxis,
): Gathered {
  const length = lengths === undefined ? undefined : paddedLength(batch, lengths);
  const places: TensorPlace[] = [];
  const chunks: TensorBytes[] = [];
  let end = 0;
  for (const [index, { name, datatype, shape: declared, rowAxis = 0, modelShape }] of inputs.entries()) {
    const offset = aligned(end);
    if (offset > end) chunks.push(PADDING.subarray(0, offset - end));
    end = offset;
    const first: Shape = batch.requests[0]?.tensors.shapes[index] ?? [];
    const padded = length === undefined ? undefined : lengths?.inputs.get(index);
    if (padded !== undefined && length !== undefined) {
      for (const { tensors } of batch.requests) {
        end += pushPadded(chunks, bytesOf(pieceOf(tensors, index)), tensors.shapes[index] ?? [], padded, length);
      }
    } else if (rowAxis === 0 || axis === 'whole' || batch.requests.length === 1) {
      for (const { tensors } of batch.requests) {
        const piece = pieceOf(tensors, index);
        chunks.push(piece);
        end += piece.byteLength;
      }
    } else {
      const joined =
        rowAxis === 'shared'
          ? // All have the same: they would not be in one bucket.
            pieceOf(batch.requests[0]?.tensors, index)
          : interleave(batch.requests, index, sizeBefore(first, rowAxis));
      chunks.push(joined);
      end += joined.byteLength;
    }
    const one = padded === undefined || length === undefined ? first : first.with(padded.axis, length);
    const seen = axis === 'rows' ? withRows(one, batch.rows, rowAxis) : one;
    const shape = modelShape === undefined ? seen : reshape(seen, declared, modelShape);
    if (
      end - offset !== (elementCount(shape) ?? 0) * (DATATYPE_BYTES[datatype] ?? Number.NaN) &&
      datatype !== 'BYTES'
    ) {
      throw new Error(
        `requests of unlike shapes cannot share a batch: input '${name}' has ${end - offset} bytes for [${shape}]`,
      );
    }
    places.push({ name, datatype, shape, offset, byteLength: end - offset });
  }
  return { places, chunks, end };
}

function pieceOf(tensors: InferTensors | undefined, index: number): TensorBytes {
  const piece = tensors?.inputs[index];
  if (piece === undefined) throw new TypeError(`request without input ${index}`);
  return piece;
}

/** One input of all requests, of each its part of the first stripe, then of the second, and so on. */
function interleave(requests: TensorBatch['requests'], index: number, stripes: number): Uint8Array {
  const pieces = requests.map(({ tensors }) => bytesOf(pieceOf(tensors, index)));
  const joined = Buffer.allocUnsafe(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  const stride = stripes === 0 ? 0 : joined.byteLength / stripes;
  let offset = 0;
  for (const bytes of pieces) {
    const width = stripes === 0 ? 0 : bytes.byteLength / stripes;
    copyRuns({ bytes, offset: 0, stride: width }, { bytes: joined, offset, stride }, width, stripes);
    offset += width;
  }
  return joined;
}

/** The outputs whose rows do not lie on axis 0, by name. */
export type OutputAxes = ReadonlyMap<string, RowAxis>;

const ALL_ON_AXIS_0: OutputAxes = new Map();

/** Row axes of the outputs, for `scatter`. */
export function outputAxes(outputs: readonly ModelTensor[]): OutputAxes {
  const others = outputs.flatMap(({ name, rowAxis }): [string, RowAxis][] => (rowAxis ? [[name, rowAxis]] : []));
  return others.length === 0 ? ALL_ON_AXIS_0 : new Map(others);
}

/**
 * Each request's rows of the batch's outputs, in the order of the requests: views, or copies where rows do not lie on axis 0 or
 * padding is cut off.
 * @throws Error where an output's row axis is not the number of rows, or a length axis not the length: such a model must not be
 *   batched.
 */
export function scatter(
  batch: TensorBatch,
  outputs: readonly OutputTensor[],
  axis: BatchAxis,
  axes: OutputAxes = ALL_ON_AXIS_0,
  lengths?: LengthAxis,
): OutputTensor[][] {
  if (axis === 'whole' || batch.requests.length === 1) return batch.requests.map(() => [...outputs]);
  const parts = partRows(batch, outputs, axes);
  if (lengths === undefined || lengths.outputs.size === 0) return parts;
  const padded = paddedLength(batch, lengths);
  if (padded === undefined) return parts;
  for (const [index, { tensors }] of batch.requests.entries()) {
    const length = lengthOf(tensors, lengths);
    if (length === padded) continue;
    parts[index] = (parts[index] ?? []).map((output) => {
      const cut = lengths.outputs.get(output.name);
      return cut === undefined ? output : cutOutput(output, cut, padded, length);
    });
  }
  return parts;
}

/** How many rows each of some requests has, one behind the other. */
interface RowCounts {
  readonly requests: readonly { readonly tensors: Pick<InferTensors, 'rows'> }[];
  readonly rows: number;
}

/**
 * Each request's rows of some tensors that hold the rows of all: views, or copies where rows do not lie on axis 0.
 * @throws Error as `scatter`
 */
export function partRows(batch: RowCounts, outputs: readonly OutputTensor[], axes: OutputAxes): OutputTensor[][] {
  const parts: OutputTensor[][] = batch.requests.map(() => []);
  for (const output of outputs) {
    const rowAxis = axes.get(output.name) ?? 0;
    if (rowAxis === 'shared') {
      for (const part of parts) part.push(output);
      continue;
    }
    checkRowAxis(output, rowAxis, batch.rows);
    if (rowAxis > 0) {
      disperse(batch, output, rowAxis, parts);
      continue;
    }
    const { name, datatype, rowLengths } = output;
    const ends = rowEnds(output, batch.rows);
    let row = 0;
    let from = 0;
    for (const [index, { tensors }] of batch.requests.entries()) {
      const shape = [tensors.rows, ...output.shape.slice(1)];
      const to = ends(row + tensors.rows);
      const part = { name, datatype, shape, data: output.data.subarray(from, to) };
      parts[index]?.push(rowLengths === undefined ? part : cutToLongest(part, rowLengths, row));
      row += tensors.rows;
      from = to;
    }
  }
  return parts;
}

/** @throws Error where an output does not have the rows of its batch */
export function checkRowAxis({ name, shape }: OutputTensor, rowAxis: number, rows: number): void {
  if (shape[rowAxis] === rows) return;
  const which = rowAxis === 0 ? 'first axis' : `axis ${rowAxis}`;
  throw new Error(
    `output '${name}' of a batch of ${rows} rows has the shape [${shape}]: its ${which} is no batch axis`,
  );
}

/** The opposite of `interleave`, for one output. */
function disperse(batch: RowCounts, output: OutputTensor, rowAxis: number, parts: readonly OutputTensor[][]): void {
  const stripes = sizeBefore(output.shape, rowAxis);
  const bytesPerRow = stripes === 0 ? 0 : output.data.byteLength / stripes / batch.rows;
  let row = 0;
  for (const [index, { tensors }] of batch.requests.entries()) {
    const width = tensors.rows * bytesPerRow;
    const data = Buffer.allocUnsafe(stripes * width);
    const from = { bytes: output.data, offset: row * bytesPerRow, stride: batch.rows * bytesPerRow };
    copyRuns(from, { bytes: data, offset: 0, stride: width }, width, stripes);
    parts[index]?.push({ ...output, shape: withRows(output.shape, tensors.rows, rowAxis), data });
    row += tensors.rows;
  }
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
