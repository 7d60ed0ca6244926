/**
 * Requests of unlike length in one batch: each row is followed by padding up to the longest, and what the model answers for
 * padding is cut off again.
 */

import type { Shape } from '../../wire/tensor.ts';
import type { TensorBytes } from '../../wire/tensor-bytes.ts';
import type { InferTensors } from '../admit/infer-tensors.ts';
import type { LengthAxis, PaddedInput } from '../repository/signature/length-axis.ts';
import type { OutputTensor } from './queued-request.ts';
import { copyRuns } from './stripes.ts';

/** More pieces of a request are joined by copying: a view for each costs more than its bytes. */
const MAX_VIEWS = 256;

interface Requests {
  readonly requests: readonly { readonly tensors: InferTensors }[];
}

/** Elements of a request along the length axis, in each of its rows. */
export function lengthOf({ shapes }: InferTensors, { inputs, mask }: LengthAxis): number {
  return shapes[mask]?.[inputs.get(mask)?.axis ?? 0] ?? 0;
}

/** The length to which the requests of a batch are padded; `undefined` where all have the same. */
export function paddedLength({ requests }: Requests, lengths: LengthAxis): number | undefined {
  let longest = 0;
  let isAlike = true;
  for (const [index, { tensors }] of requests.entries()) {
    const own = lengthOf(tensors, lengths);
    if (index > 0 && own !== longest) isAlike = false;
    if (own > longest) longest = own;
  }
  return isAlike ? undefined : longest;
}

/** Elements along the length axis, of all rows. */
export interface PaddingSum {
  padded: number;
  computed: number;
}

/** How much of what a batch computes along the length axis is padding. */
export function paddingOf(batch: Requests & { readonly rows: number }, lengths: LengthAxis): Readonly<PaddingSum> {
  let longest = 0;
  let own = 0;
  for (const { tensors } of batch.requests) {
    const length = lengthOf(tensors, lengths);
    longest = Math.max(longest, length);
    own += tensors.rows * length;
  }
  const computed = batch.rows * longest;
  return { padded: computed - own, computed };
}

/**
 * Appends to `chunks` one input of a request, padded to `length`: views of the request and of the filler.
 * @returns bytes that were appended
 */
export function pushPadded(
  chunks: TensorBytes[],
  value: Uint8Array,
  shape: Shape,
  { axis, filler }: PaddedInput,
  length: number,
): number {
  const own = shape[axis] ?? 0;
  if (own === length) {
    chunks.push(value);
    return value.byteLength;
  }
  const stripes = sizeBefore(shape, axis);
  const width = value.byteLength / stripes;
  const padding = (width / own) * (length - own);
  if (stripes > MAX_VIEWS) {
    chunks.push(copyPadded(value, stripes, width, padding, filler));
    return stripes * (width + padding);
  }
  for (let stripe = 0; stripe < stripes; stripe++) {
    chunks.push(value.subarray(stripe * width, (stripe + 1) * width));
    for (let left = padding; left > 0; left -= filler.byteLength) chunks.push(filler.subarray(0, left));
  }
  return stripes * (width + padding);
}

function copyPadded(
  bytes: Uint8Array,
  stripes: number,
  width: number,
  padding: number,
  filler: Uint8Array,
): Uint8Array {
  const stride = width + padding;
  const joined = Buffer.alloc(stripes * stride, filler);
  copyRuns({ bytes, offset: 0, stride: width }, { bytes: joined, offset: 0, stride }, width, stripes);
  return joined;
}

/**
 * An output without what belongs to padding.
 * @param padded the length of the batch, which each of `axes` must have.
 * @throws Error where one has not.
 */
export function cutOutput(output: OutputTensor, axes: readonly number[], padded: number, length: number): OutputTensor {
  let { shape, data } = output;
  for (const axis of axes) {
    if (shape[axis] !== padded) {
      throw new Error(
        `output '${output.name}' of rows of length ${padded} has the shape [${output.shape}]: its axis ${axis} is no length axis`,
      );
    }
    const stripes = sizeBefore(shape, axis);
    const stride = data.byteLength / Math.max(1, stripes);
    const width = (stride / padded) * length;
    if (stripes === 1) data = data.subarray(0, width);
    else {
      const cut = Buffer.allocUnsafe(stripes * width);
      copyRuns({ bytes: data, offset: 0, stride }, { bytes: cut, offset: 0, stride: width }, width, stripes);
      data = cut;
    }
    shape = shape.with(axis, length);
  }
  return { ...output, shape, data };
}

/** Rows that a step padded to the longest of their batch, without what lies beyond the longest of them. */
export function cutToLongest(rows: OutputTensor, lengths: readonly number[], first: number): OutputTensor {
  const [count = 0, padded = 0] = rows.shape;
  const longest = lengths.slice(first, first + count).reduce((most, length) => Math.max(most, length), 0);
  return longest === padded ? rows : cutOutput(rows, [1], padded, longest);
}

/** The product of the sizes before an axis: how often the runs along it are interrupted. */
export function sizeBefore(shape: Shape, axis: number): number {
  let product = 1;
  for (let before = 0; before < axis; before++) product *= shape[before] ?? 1;
  return product;
}
