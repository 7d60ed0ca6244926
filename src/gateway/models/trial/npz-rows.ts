/** Rows of numpy's arrays as requests of a model. */

import { type InferTensors, UNIT_ROW } from '../../admit/infer-tensors.ts';
import type { NpyArray } from '../../repository/npz-archive.ts';
import type { ModelTensor } from '../../repository/signature/row-axis.ts';

/**
 * One row of arrays whose axis 0 counts the rows, as a request of its own.
 * @param what name of the rows in messages, such as `golden row`
 * @throws Error where an input is not among the arrays, or the model takes another shape
 */
export function rowOfArrays(
  arrays: ReadonlyMap<string, NpyArray>,
  inputs: readonly ModelTensor[],
  index: number,
  what: string,
): InferTensors {
  const shapes: number[][] = [];
  const values = inputs.map(({ name, shape, rowAxis, default: value }) => {
    const array = arrays.get(name);
    if (array === undefined && value !== undefined) {
      shapes.push([...value.shape]);
      return value.data;
    }
    if (array === undefined) throw new Error(`there is no array for input '${name}'`);
    // A model that takes one row at a time takes it as a batch of one.
    const own = array.shape.slice(1);
    if (own.length === shape.length - 1) own.splice(typeof rowAxis === 'number' ? rowAxis : 0, 0, 1);
    const fits = own.length === shape.length && own.every((size, axis) => shape[axis] === -1 || shape[axis] === size);
    if (!fits) throw new Error(`a ${what} of input '${name}' has the shape [${own}]: the model takes [${shape}]`);
    shapes.push(own);
    return sliceOfArray(array, index);
  });
  const bytes = values.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { rows: 1, bytes, size: UNIT_ROW, bucket: '', inputs: values, shapes };
}

export function sliceOfArray({ data, shape }: NpyArray, index: number): Uint8Array {
  const size = data.byteLength / (shape[0] ?? 1);
  return data.subarray(index * size, (index + 1) * size);
}
