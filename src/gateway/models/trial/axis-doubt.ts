/**
 * Proof, by running, that axes with different names are one batch axis: runs beyond `row-independence.ts`, for models without the
 * equal names that usually show it.
 */

import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { OutputAxes } from '../../batch/batch.ts';
import type { ModelTensor } from '../../repository/signature/row-axis.ts';
import { compareTogether, type RunRows } from './row-independence.ts';
import { fixedRow, type ProbeShape, seededRandom, syntheticRow } from './synthetic-input.ts';
import { Tally } from './tally.ts';

/** Numbers of rows that the other proof does not try. */
const COUNTS = [2, 3, 7] as const;

/**
 * Runs other numbers of rows, and rows that are all zero: the first axis of an output may be a count that depends on values, such as
 * the number of objects in an image. By chance it may equal the number of rows.
 * @param tally counts the comparisons
 * @returns why the rows are not independent, or `undefined` where no dependence was found.
 */
export async function findCountDependence(
  run: RunRows,
  inputs: readonly ModelTensor[],
  shape: ProbeShape,
  axes?: OutputAxes,
  tally = new Tally(),
): Promise<string | undefined> {
  const zero = fixedRow(inputs, { ...shape, range: 'zero' });
  const takesZeros = (await run([zero])).kind === 'ok';
  for (const count of COUNTS) {
    const random = seededRandom(100 + count);
    const rows = Array.from({ length: count }, () => syntheticRow(inputs, { ...shape, random, magnitude: 1 }));
    if (takesZeros) rows.push(zero);
    const dependence = await compareTogether(run, rows, axes, { tally });
    if (dependence !== undefined) return dependence;
  }
  return undefined;
}

/**
 * Runs requests with more rows in one input than in the others. Two and three rows do not broadcast, so that a model which runs
 * them has two independent axes, and its clients may send any sizes.
 * @param run takes the tensors of one request as they are.
 * @param names of the inputs whose axis has a name of its own.
 * @returns which input may have another size, or `undefined` where none may.
 */
export async function findUnequalCounts(
  run: RunRows,
  inputs: readonly ModelTensor[],
  names: ReadonlySet<string>,
  shape: ProbeShape,
): Promise<string | undefined> {
  for (const { name } of inputs.filter((input) => names.has(input.name))) {
    const sizes = inputs.map((input) => (input.name === name ? 3 : 2));
    const outcome = await run([withCounts(inputs, sizes, shape)]);
    if (outcome.kind === 'ok') return `input '${name}' may have other sizes than the others`;
  }
  return undefined;
}

/** A made-up request whose inputs have as many rows as `sizes` says. */
function withCounts(inputs: readonly ModelTensor[], sizes: readonly number[], shape: ProbeShape): InferTensors {
  const sized = inputs.map((input, index): ModelTensor => {
    const { rowAxis = 0 } = input;
    return rowAxis === 'shared' ? input : { ...input, shape: input.shape.with(rowAxis, sizes[index] ?? 1) };
  });
  return fixedRow(sized, shape);
}
