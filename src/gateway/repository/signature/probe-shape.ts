/** The shape that `tensorgate.probe_shape` gives an input in made-up requests. */

import type { Shape } from '../../../wire/tensor.ts';
import { ModelConfigError } from '../config/model-config.ts';
import type { ModelTensor } from './row-axis.ts';

/**
 * @param given with the batch axis, which must be 1, or without it.
 * @returns a whole shape of one row. @throws ModelConfigError where it does not fit the input
 */
export function probeShapeOf(
  { name, shape, rowAxis = 0 }: ModelTensor,
  given: Shape | undefined,
  isBatched: boolean,
): Shape | undefined {
  if (given === undefined) return undefined;
  const at = isBatched && rowAxis !== 'shared' ? rowAxis : undefined;
  const isRow = at !== undefined && given.length === shape.length - 1;
  const whole = isRow ? given.toSpliced(at, 0, 1) : given;
  const fits = whole.length === shape.length && shape.every((size, axis) => size === -1 || size === whole[axis]);
  const hasOneRow = at === undefined || whole[at] === 1;
  if (fits && hasOneRow) return whole;
  const row = fits ? `: its batch axis (axis ${at}) must be 1` : '';
  throw new ModelConfigError(
    `tensorgate.probe_shape: input '${name}' has the shape [${shape}], which [${given}] does not fit${row}`,
  );
}
