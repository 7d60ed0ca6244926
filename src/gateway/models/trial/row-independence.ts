/**
 * Proof, by running, that the batch axis is one: the answer to a row must not depend on the rows beside it.
 *
 * Unlike rows are run together and apart. Equal rows would show nothing: dynamic quantization, say, takes one scale for
 * the whole batch, and with equal rows that scale is right for each. Measured on an int8 model of that kind, unlike rows
 * differ by 5e-4 and more; float and statically quantized models by 2.4e-7 at most.
 */

import { messageOf } from '../../../error-message.ts';
import { FLOAT_READERS, viewOf } from '../../../wire/float-elements.ts';
import { DATATYPE_BYTES } from '../../../wire/tensor.ts';
import type { RunOutcome } from '../../../worker/run-outcome.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import { type OutputAxes, scatter } from '../../batch/batch.ts';
import type { OutputTensor } from '../../batch/queued-request.ts';
import type { LengthAxis } from '../../repository/signature/length-axis.ts';
import type { ModelTensor } from '../../repository/signature/row-axis.ts';
import { reasonOf } from './failed-run.ts';
import { type ProbeShape, seededRandom, syntheticRow } from './synthetic-input.ts';
import { Tally } from './tally.ts';

/**
 * Largest difference that rounding explains, as a share of the largest magnitude in the output (at least 1): BF16 has 8 bits, FP16
 * has 11. Other datatypes are exact.
 */
export const ROUNDING: { readonly [datatype: string]: number | undefined } = {
  BF16: 1.6e-2,
  FP16: 2e-3,
  FP32: 1e-5,
  FP64: 1e-5,
};
/** Rows of very different magnitude make a shared scale visible. */
const MAGNITUDES = [1, 0.01, 8, 0.3] as const;
const ROUNDS = 3;

export type RunRows = (rows: readonly InferTensors[]) => Promise<RunOutcome>;

/**
 * @param tally counts the comparisons
 * @returns why the rows are not independent, or `undefined` where no dependence was found.
 */
export async function findRowDependence(
  run: RunRows,
  inputs: readonly ModelTensor[],
  shape: ProbeShape,
  axes?: OutputAxes,
  tally = new Tally(),
): Promise<string | undefined> {
  for (let round = 0; round < ROUNDS; round++) {
    const random = seededRandom(round + 1);
    const rows = MAGNITUDES.map((magnitude) => syntheticRow(inputs, { ...shape, random, magnitude }));
    const dependence = await compareTogether(run, rows, axes, { tally });
    if (dependence !== undefined) return dependence;
  }
  return undefined;
}

/** How rows run together are parted, and what their answers may depend on. */
interface Company {
  readonly lengths?: LengthAxis | undefined;
  /** Such as `with the rows beside it`, which is the default. */
  readonly cause?: string;
  readonly tally?: Tally;
}

/**
 * The same with given rows, which can share a batch and should be unlike.
 * @returns why they are not independent, or `undefined` where no dependence was found.
 */
export async function compareTogether(
  run: RunRows,
  rows: readonly InferTensors[],
  axes?: OutputAxes,
  { lengths, cause = 'with the rows beside it', tally = new Tally() }: Company = {},
): Promise<string | undefined> {
  const together = await run(rows);
  if (together.kind !== 'ok') return `a batch of ${rows.length} rows does not run (${reasonOf(together)})`;
  let parts: readonly OutputTensor[][];
  try {
    const batch = { requests: rows.map((tensors) => ({ tensors })), rows: rows.length };
    parts = scatter(batch, together.outputs, 'rows', axes, lengths);
  } catch (error) {
    return messageOf(error);
  }
  for (const [index, row] of rows.entries()) {
    const apart = await run([row]);
    if (apart.kind !== 'ok') return `a single row does not run (${reasonOf(apart)})`;
    const difference = compare(parts[index] ?? [], apart.outputs, cause, tally);
    if (difference !== undefined) return difference;
    tally.rows++;
  }
  return undefined;
}

function compare(
  together: readonly OutputTensor[],
  apart: readonly OutputTensor[],
  cause: string,
  tally: Tally,
): string | undefined {
  for (const [index, single] of apart.entries()) {
    const beside = together[index];
    if (beside === undefined || String(beside.shape) !== String(single.shape)) {
      return `output '${single.name}' of a row has the shape [${single.shape}] by itself and [${beside?.shape}] in a batch`;
    }
    const off = difference(beside, single, tally);
    if (off !== undefined) return `output '${single.name}' of a row changes by ${off} ${cause}`;
  }
  return undefined;
}

/** The largest difference where it is above what rounding explains; any at all where the datatype is exact. */
function difference(beside: OutputTensor, alone: OutputTensor, tally: Tally): string | undefined {
  const read = FLOAT_READERS[alone.datatype];
  if (read === undefined) return Buffer.compare(beside.data, alone.data) === 0 ? undefined : 'at least one value';
  const size = DATATYPE_BYTES[alone.datatype] ?? 1;
  const a = viewOf(beside.data);
  const b = viewOf(alone.data);
  let largest = 1;
  let off = 0;
  for (let at = 0; at < alone.data.byteLength; at += size) {
    const x = read(a, at);
    const y = read(b, at);
    if (Object.is(x, y) || x === y) continue;
    if (Number.isFinite(y)) largest = Math.max(largest, Math.abs(y));
    off = Math.max(off, Number.isFinite(x) && Number.isFinite(y) ? Math.abs(x - y) : Number.POSITIVE_INFINITY);
  }
  if (off > (ROUNDING[alone.datatype] ?? 0) * largest) return off.toPrecision(2);
  tally.note(off / largest);
  return undefined;
}

/** The name of a floating-point output that holds NaN, if one does: NaN equals NaN, and would prove nothing. */
export function outputWithNaN(outputs: readonly OutputTensor[]): string | undefined {
  return outputs.find(({ datatype, data }) => {
    const read = FLOAT_READERS[datatype];
    const size = DATATYPE_BYTES[datatype] ?? 1;
    const view = viewOf(data);
    for (let at = 0; read !== undefined && at < data.byteLength; at += size) {
      if (Number.isNaN(read(view, at))) return true;
    }
    return false;
  })?.name;
}
