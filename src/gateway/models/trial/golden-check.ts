/**
 * Checks that a model gives its recorded answers before it serves: row by row, and all rows as batches. A row that fails by itself
 * means another model; a row that fails only in a batch means that rows mix.
 */

import { messageOf } from '../../../error-message.ts';
import { TensorComparison, TensorDifference } from '../../../wire/tensor-comparison.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import { outputAxes, scatter } from '../../batch/batch.ts';
import type { OutputTensor } from '../../batch/queued-request.ts';
import type { Golden } from '../../repository/golden.ts';
import type { ModelSignature } from '../../repository/signature/model-signature.ts';
import { isTooLarge, reasonOf } from './failed-run.ts';
import { rowOfArrays, sliceOfArray } from './npz-rows.ts';
import { ROUNDING, type RunRows } from './row-independence.ts';

/**
 * @param run runs some rows, with batching as in the signature
 * @returns why rows must not be batched, or `undefined` where nothing speaks against it.
 * @throws Error if the model misses a row by itself; the text names row, output and difference.
 */
export async function checkGolden(
  golden: Golden,
  signature: ModelSignature,
  run: RunRows,
): Promise<string | undefined> {
  checkNames(golden, signature);
  const rows = Array.from({ length: golden.rows }, (_, index) =>
    rowOfArrays(golden.inputs, signature.inputs, index, 'golden row'),
  );
  for (const [index, row] of rows.entries()) {
    const outcome = await run([row]);
    const problem =
      outcome.kind === 'ok' ? miss(golden, index, outcome.outputs) : `it does not run: ${reasonOf(outcome)}`;
    if (problem !== undefined) throw new Error(`golden row ${index}: ${problem}`);
  }
  if (signature.batching.kind === 'off') return undefined;
  const { maxRows } = signature.batching;
  for (let from = 0; from < rows.length && maxRows > 1; from += maxRows) {
    const problem = await missInBatch(golden, signature, run, rows.slice(from, from + maxRows), from);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function checkNames(golden: Golden, { inputs, outputs }: ModelSignature): void {
  const missing = inputs.find(({ name, default: value }) => value === undefined && !golden.inputs.has(name));
  if (missing !== undefined) throw new Error(`the golden rows have no input '${missing.name}'`);
  for (const [kind, given, wanted] of [
    ['input', golden.inputs, inputs],
    ['output', golden.outputs, outputs],
  ] as const) {
    for (const [name, { datatype }] of given) {
      const tensor = wanted.find((each) => each.name === name);
      if (tensor === undefined) throw new Error(`the golden rows have an ${kind} '${name}', which the model has not`);
      if (tensor.datatype === datatype) continue;
      throw new Error(`${kind} '${name}' of the golden rows is ${datatype}, but the model has ${tensor.datatype}`);
    }
  }
}

async function missInBatch(
  golden: Golden,
  signature: ModelSignature,
  run: RunRows,
  rows: readonly InferTensors[],
  from: number,
): Promise<string | undefined> {
  if (rows.length < 2) return undefined;
  const outcome = await run(rows);
  if (isTooLarge(outcome) && rows.length > 2) {
    const middle = Math.ceil(rows.length / 2);
    const first = await missInBatch(golden, signature, run, rows.slice(0, middle), from);
    return first ?? missInBatch(golden, signature, run, rows.slice(middle), from + middle);
  }
  if (outcome.kind !== 'ok') return `the golden rows run one by one, but not as a batch: ${reasonOf(outcome)}`;
  let parts: readonly OutputTensor[][];
  try {
    const batch = { requests: rows.map((tensors) => ({ tensors })), rows: rows.length };
    parts = scatter(batch, outcome.outputs, 'rows', outputAxes(signature.outputs));
  } catch (error) {
    return messageOf(error);
  }
  for (const [index, part] of parts.entries()) {
    const problem = miss(golden, from + index, part);
    if (problem !== undefined) return `golden row ${from + index} is right by itself, but not in a batch: ${problem}`;
  }
  return undefined;
}

/** How an answer misses what a row should give. */
function miss({ outputs, tolerance }: Golden, index: number, answer: readonly OutputTensor[]): string | undefined {
  for (const [name, array] of outputs) {
    const got = answer.find((output) => output.name === name);
    const data = sliceOfArray(array, index);
    if (got === undefined || got.data.byteLength !== data.byteLength) {
      return `output '${name}' has the shape [${got?.shape ?? 'none'}], expected elements of [${array.shape.slice(1)}]`;
    }
    const limit = tolerance.maxAbs ?? ROUNDING[array.datatype];
    const found = new TensorDifference();
    new TensorComparison({ ...got, data }, got, found).advance(Number.POSITIVE_INFINITY);
    const { isEqual, absolute, rowsDisagreeing } = found;
    if (tolerance.argmax && rowsDisagreeing > 0) return `output '${name}' has its largest element at another place`;
    if (isEqual || (ROUNDING[array.datatype] !== undefined && absolute <= (limit ?? 0))) continue;
    if (ROUNDING[array.datatype] === undefined) return `output '${name}' is not equal`;
    return `output '${name}' is off by ${absolute.toPrecision(2)}, more than ${limit}`;
  }
  return undefined;
}
