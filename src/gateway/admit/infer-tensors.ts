/** The product of admission: tensors that fit the model, ready to be laid into a batch. */

import { createHash } from 'node:crypto';
import type { Shape } from '../../wire/tensor.ts';
import { bytesOf, type TensorBytes } from '../../wire/tensor-bytes.ts';
import type { LengthAxis } from '../repository/signature/length-axis.ts';
import type { Batching } from '../repository/signature/model-signature.ts';
import type { ModelTensor } from '../repository/signature/row-axis.ts';
import { paddedTo } from './length-grid.ts';

/** Whether requests are joined: `rows` stack, usually along axis 0; a `whole` model takes one request a run, as it is. */
export type BatchAxis = 'rows' | 'whole';

export function axisOf({ kind }: Batching): BatchAxis {
  return kind === 'on' ? 'rows' : 'whole';
}

/** How much one row holds: what the cost of a batch is predicted from. */
export interface RowSize {
  /** Elements of all inputs. */
  readonly elements: number;
  /** Size of the longest open axis besides the rows, such as the number of tokens; 1 where the model has none. */
  readonly length: number;
}

/** Size of rows that never wait in a queue: probes of a loading model, and tools that run one request after another. */
export const UNIT_ROW: RowSize = { elements: 1, length: 1 };

export interface InferTensors<Tensor extends TensorBytes = TensorBytes> {
  /** The client's name for the request, by which the log names it; absent where no client made it. */
  readonly requestId?: string | undefined;
  readonly rows: number;
  readonly size: RowSize;
  /** Bytes of all inputs. */
  readonly bytes: number;
  /**
   * Requests of one bucket can share a batch: their shapes are equal but for the rows, and for the lengths that padding makes
   * equal; and so is what rows share.
   */
  readonly bucket: string;
  /** In the order of the model's inputs, in raw form; mostly views of the received message, or landed. */
  readonly inputs: readonly Tensor[];
  readonly shapes: readonly Shape[];
}

const NOTHING = new Uint8Array(0);
/** Shared values are mostly a number or two, which need no digest. */
const SHORT_VALUE = 64;

/** Digests of defaults, which come again and again. */
const defaultDigests = new WeakMap<Uint8Array, string>();

function digestOfShared(value: Uint8Array, spec: Pick<ModelTensor, 'default'> | undefined): string {
  if (value !== spec?.default?.data) return digestOf(value);
  const digest = defaultDigests.get(value) ?? digestOf(value);
  defaultDigests.set(value, digest);
  return digest;
}

/** Equal where the bytes are. */
function digestOf(value: Uint8Array): string {
  if (value.byteLength > SHORT_VALUE) return createHash('sha256').update(value).digest('base64');
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
}

/**
 * The bucket of requests whose inputs have these shapes.
 * @param inputs the model's, in the same order.
 * @param values of the inputs, in raw form: of interest where all rows of a batch share one, and where they are padded.
 */
export function bucketKey(
  shapes: readonly Shape[],
  axis: BatchAxis,
  inputs: readonly Pick<ModelTensor, 'rowAxis' | 'default'>[] = [],
  values: readonly TensorBytes[] = [],
  lengths?: LengthAxis,
): string {
  const edge = lengths === undefined ? undefined : paddedTo(shapes, values, lengths);
  let key = '';
  for (let input = 0; input < shapes.length; input++) {
    const shape = shapes[input] ?? [];
    const rowAxis = axis === 'rows' ? (inputs[input]?.rowAxis ?? 0) : undefined;
    const lengthAxis = edge === undefined ? undefined : lengths?.inputs.get(input)?.axis;
    for (let index = rowAxis === 0 ? 1 : 0; index < shape.length; index++) {
      if (index === lengthAxis) key += `<=${edge},`;
      else if (index !== rowAxis) key += `${shape[index]},`;
    }
    if (rowAxis === 'shared') key += digestOfShared(bytesOf(values[input] ?? NOTHING), inputs[input]);
    key += ';';
  }
  return key;
}

/** @param inputs the model's, in the order of the shapes. */
export function rowSizeOf(
  shapes: readonly Shape[],
  axis: BatchAxis,
  inputs: readonly Pick<ModelTensor, 'shape' | 'rowAxis'>[],
): RowSize {
  let elements = 0;
  let length = 1;
  for (let input = 0; input < shapes.length; input++) {
    const shape = shapes[input] ?? [];
    const spec = inputs[input];
    const rowAxis = axis === 'rows' ? (spec?.rowAxis ?? 0) : 'shared';
    let product = 1;
    for (let index = 0; index < shape.length; index++) {
      const size = shape[index] ?? 1;
      if (index === rowAxis) continue;
      product *= size;
      if (spec?.shape[index] === -1 && size > length) length = size;
    }
    elements += product;
  }
  return { elements, length };
}
