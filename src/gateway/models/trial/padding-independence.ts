/**
 * Proof, by running, that padding changes no answer: rows of different lengths run separately, then padded together.
 *
 * The tolerance is the same as for rows of a batch. Padding adds terms to sums over the length. They are exactly zero if the model
 * masks them, so only the order of the sums changes: float text encoders differ by at most 5e-7 of the largest value. A model
 * without a mask, or with one scale for a whole tensor (dynamic quantization), differs by 1e-3 and more.
 */

import type { RunOutcome } from '../../../worker/run-outcome.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import type { OutputAxes } from '../../batch/batch.ts';
import type { OutputTensor } from '../../batch/queued-request.ts';
import { isMask, type LengthAxis, type Padding } from '../../repository/signature/length-axis.ts';
import type { ModelTensor } from '../../repository/signature/row-axis.ts';
import { reasonOf } from './failed-run.ts';
import { compareTogether, outputWithNaN, type RunRows } from './row-independence.ts';
import { type ProbeShape, seededRandom, syntheticRow } from './synthetic-input.ts';
import { Tally } from './tally.ts';

/** Lengths as shares of the longest: 31, 14, 9, 5 and 1 of 31. Padding of far more than the grid ever adds shows any leak. */
const SHARES = [1, 0.45, 0.3, 0.16, 0.03] as const;
const ROUNDS = 3;
const PADDED = { cause: 'when it is padded' } as const;

export interface PaddingProbe {
  readonly shape: ProbeShape;
  readonly axes?: OutputAxes;
  /** Counts the comparisons. */
  readonly tally?: Tally;
}

/**
 * @param run pads rows along `lengths`
 * @returns the length axis with its outputs, or why nothing is padded.
 */
export async function provePadding(
  run: RunRows,
  inputs: readonly ModelTensor[],
  lengths: LengthAxis,
  { shape, axes, tally = new Tally() }: PaddingProbe,
): Promise<Padding> {
  const made = (size: number, round: number): InferTensors => madeRow(inputs, lengths, shape, size, round);
  const sizes = await sizesToTry(async (size) => run([made(size, 0)]), usualLength(inputs, lengths, shape));
  const [longest = 1, shorter] = sizes;
  if (shorter === undefined) return off('no made-up input of more than one length runs');
  const [long, short] = [await run([made(longest, 0)]), await run([made(shorter, 0)])];
  if (long.kind !== 'ok') return off(`a row of length ${longest} does not run (${reasonOf(long)})`);
  if (short.kind !== 'ok') return off(`a row of length ${shorter} does not run (${reasonOf(short)})`);
  const numberless = outputWithNaN(long.outputs);
  if (numberless !== undefined)
    return off(
      `output '${numberless}' of a made-up row holds NaN, which proves nothing (is the pad value of the mask right?)`,
    );
  const outputs = lengthAxesOf(long.outputs, longest, short.outputs, shorter);
  const texts = long.outputs.find(({ name, datatype }) => datatype === 'BYTES' && outputs.has(name));
  if (texts !== undefined) return off(`output '${texts.name}' holds as many texts as the inputs are long`);
  const proven = { ...lengths, outputs };
  for (let round = 0; round < ROUNDS; round++) {
    const rows = sizes.map((size, index) => made(size, round * SHARES.length + index + 1));
    const change = await compareTogether(run, rows, axes, { ...PADDED, lengths: proven, tally });
    if (change !== undefined) return off(change);
  }
  return { kind: 'on', lengths: proven };
}

function off(reason: string): Padding {
  return { kind: 'off', reason };
}

function usualLength(inputs: readonly ModelTensor[], lengths: LengthAxis, { openAxisSize }: ProbeShape): number {
  const axis = lengths.inputs.get(lengths.mask)?.axis ?? 0;
  return inputs[lengths.mask]?.probeShape?.[axis] ?? openAxisSize;
}

/** Unlike lengths that the model takes, the longest first: mostly about twice those that are tried first anyway. */
async function sizesToTry(run: (size: number) => Promise<RunOutcome>, size: number): Promise<number[]> {
  const double = 2 * size - 1;
  const longest = double > size && (await run(double)).kind === 'ok' ? double : size;
  return [...new Set(SHARES.map((share) => Math.max(1, Math.round(share * longest))))];
}

/** By name: the axes of outputs that are as long as the inputs, whichever length these have. */
function lengthAxesOf(
  long: readonly OutputTensor[],
  longest: number,
  short: readonly OutputTensor[],
  shorter: number,
): ReadonlyMap<string, readonly number[]> {
  const found = long.flatMap(({ name, shape }, index): [string, readonly number[]][] => {
    const other = short[index]?.shape ?? [];
    const axes = shape.flatMap((size, axis) => (size === longest && other[axis] === shorter ? [axis] : []));
    return axes.length === 0 ? [] : [[name, axes]];
  });
  return new Map(found);
}

/**
 * Makes a row whose first element is not padding, because the result of a row that is only padding depends on its padding. The
 * masks of even seeds have no padding at all, and masks of odd seeds end in padding.
 */
function madeRow(
  inputs: readonly ModelTensor[],
  lengths: LengthAxis,
  shape: ProbeShape,
  size: number,
  seed: number,
): InferTensors {
  const made = (tensors: readonly ModelTensor[]): InferTensors<Uint8Array> => {
    const recipe = { ...shape, random: seededRandom(seed), magnitude: 1, length: { axis: lengths, size } };
    return syntheticRow(tensors, recipe);
  };
  const isZero = lengths.inputs.get(lengths.mask)?.filler.every((byte) => byte === 0) ?? true;
  const whole = made(
    inputs.map((input, index) =>
      index === lengths.mask ? { ...input, probeValue: input.probeValue ?? (isZero ? 1 : 0) } : input,
    ),
  );
  if (seed % 2 === 0 && isMask(inputs[lengths.mask]?.name ?? '')) return whole;
  const row = made(inputs);
  const [first, value] = [whole.inputs[lengths.mask], row.inputs[lengths.mask]];
  if (first !== undefined) value?.set(first.subarray(0, first.byteLength / size));
  return row;
}
