/** The product of admission: tensors that fit the model, ready to be laid into a batch. */

import { createHash } from 'node:crypto';
import type { Shape } from '../../wire/tensor.ts';
import type { ModelTensor } from '../repository/row-axis.ts';

/** Whether requests are joined: `rows` stack, usually along axis 0; a `whole` model takes one request a run, as it is. */
export type BatchAxis = 'rows' | 'whole';

export interface InferTensors {
  readonly rows: number;
  /** Bytes of all inputs. */
  readonly bytes: number;
  /** Requests of one bucket can share a batch: their shapes are equal but for the rows, and so is what rows share. */
  readonly bucket: string;
  /** In the order of the model's inputs, in raw form; mostly views of the received message. */
  readonly inputs: readonly Uint8Array[];
  readonly shapes: readonly Shape[];
}

const NOTHING = new Uint8Array(0);
/** Shared values are mostly a number or two, which need no digest. */
const SHORT_VALUE = 64;

/** Equal where the bytes are. */
function digestOf(value: Uint8Array): string {
  if (value.byteLength > SHORT_VALUE) return createHash('sha256').update(value).digest('base64');
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
}

/**
 * The bucket of requests whose inputs have these shapes.
 * @param inputs the model's, in the same order.
 * @param values of the inputs, in raw form: of interest where all rows of a batch share one.
 */
export function bucketKey(
  shapes: readonly Shape[],
  axis: BatchAxis,
  inputs: readonly Pick<ModelTensor, 'rowAxis'>[] = [],
  values: readonly Uint8Array[] = [],
): string {
  let key = '';
  for (let input = 0; input < shapes.length; input++) {
    const shape = shapes[input] ?? [];
    const rowAxis = axis === 'rows' ? (inputs[input]?.rowAxis ?? 0) : undefined;
    for (let index = rowAxis === 0 ? 1 : 0; index < shape.length; index++) {
      if (index !== rowAxis) key += `${shape[index]},`;
    }
    if (rowAxis === 'shared') key += digestOf(values[input] ?? NOTHING);
    key += ';';
  }
  return key;
}
