/** Where the rows of a batched tensor lie: along axis 0, unless the model says otherwise. */

import type { Shape, TensorSpec } from '../../../wire/tensor.ts';
import type { ElementRule } from '../../../worker/protocol.ts';

/** The axis along which rows are stacked; `shared`: there are none, and one value serves all rows of a batch. */
export type RowAxis = number | 'shared';

/** Batch axes with different names. Exporters often rename the axes of outputs, so only runs show whether they are one axis. */
export interface AxisDoubt {
  readonly text: string;
  /** Inputs whose axis has another name than the first input's. */
  readonly inputs: ReadonlySet<string>;
}

/** The value of an input in requests that leave it out. */
export interface DefaultValue {
  /** One row where the input has rows. */
  readonly shape: Shape;
  /** In raw form. Never changed. */
  readonly data: Uint8Array;
}

export interface ModelTensor extends TensorSpec {
  /** Absent: axis 0. It means nothing where the model does not batch. */
  readonly rowAxis?: RowAxis;
  /** Shape inside the model if it differs from the shape that clients see (`reshape`): the same elements, and the same open sizes in order. */
  readonly modelShape?: Shape;
  /** The value of an input that requests may leave out. */
  readonly default?: DefaultValue;
  /** Rule for the elements of a BYTES input; absent: texts of any length. */
  readonly elements?: ElementRule;
  /** Value of each element in made-up requests; absent: any value. */
  readonly probeValue?: number;
  /** Shape of an input in made-up requests of one row; absent: sizes for what `shape` leaves open are tried. */
  readonly probeShape?: Shape;
}

/** The shape of one row: `shape` without the row axis. */
export function shapeOfRow(shape: Shape, rowAxis: RowAxis = 0): Shape {
  if (rowAxis === 0) return shape.slice(1);
  return rowAxis === 'shared' ? shape : shape.toSpliced(rowAxis, 1);
}

/** The shape of so many rows; -1 leaves their number open. */
export function shapeOfRows(row: Shape, rows: number, rowAxis: RowAxis = 0): Shape {
  return rowAxis === 'shared' ? row : row.toSpliced(rowAxis, 0, rows);
}

export function withRows(shape: Shape, rows: number, rowAxis: RowAxis = 0): Shape {
  if (rowAxis === 0) return [rows, ...shape.slice(1)];
  return rowAxis === 'shared' ? shape : shape.with(rowAxis, rows);
}

/** A shape that fits `from`, in the form of `to`: the open sizes of both correspond in order. Any other shape stays as it is. */
export function reshape(shape: Shape, from: Shape, to: Shape): Shape {
  if (shape.length !== from.length || !from.every((size, axis) => size === -1 || size === shape[axis])) return shape;
  const sizes = shape.filter((_, axis) => from[axis] === -1);
  let next = 0;
  return to.map((size) => (size === -1 ? (sizes[next++] ?? size) : size));
}

/** Gives every open axis of `shape` the size. */
export function withSize(shape: Shape, size: number): Shape {
  return shape.map((own) => (own === -1 ? size : own));
}
