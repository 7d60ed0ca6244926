/** The product of admission: tensors that fit the model, ready to be laid into a batch. */

import type { Shape } from '../../wire/tensor.ts';

/** Whether requests are joined: `rows` stack along axis 0; a `whole` model takes one request a run, as it is. */
export type BatchAxis = 'rows' | 'whole';

export interface InferTensors {
  readonly rows: number;
  /** Bytes of all inputs. */
  readonly bytes: number;
  /** Requests of one bucket can share a batch: their shapes are equal but for the rows. */
  readonly bucket: string;
  /** In the order of the model's inputs, in raw form; mostly views of the received message. */
  readonly inputs: readonly Uint8Array[];
  readonly shapes: readonly Shape[];
}

/** The bucket of requests whose inputs have these shapes. */
export function bucketKey(shapes: readonly Shape[], axis: BatchAxis): string {
  let key = '';
  for (const shape of shapes) {
    for (let index = axis === 'rows' ? 1 : 0; index < shape.length; index++) key += `${shape[index]},`;
    key += ';';
  }
  return key;
}
