/** Warm-up between loading and READY: the first, slow runs, and first measurements of batches. */

import type { Datatype } from '../../../wire/tensor.ts';
import { type InferTensors, rowSizeOf } from '../../admit/infer-tensors.ts';
import { CostModel } from '../../batch/cost-model.ts';
import { type ModelTensor, shapeOfRow } from '../../repository/signature/row-axis.ts';
import { isTooLarge, reasonOf } from './failed-run.ts';
import type { RunRows } from './row-independence.ts';
import { fixedRow, OPEN_AXIS_SIZES, type ProbeShape, type ValueRange } from './synthetic-input.ts';

/** Maximum time to measure batch sizes; the rest is learned in service. */
const SWEEP_BUDGET_MS = 1_500;
/**
 * Each size is run so often, and all its runs count as the fastest one: the machine's other work, and the memory that a first run takes,
 * only slow runs down. A size that looked dear by one slow run would not be tried again for minutes.
 */
const RUNS_PER_SIZE = 2;
/** Further lengths, as multiples of the first: far enough apart to show what grows with the square of the length. */
const LENGTH_FACTORS = [4, 16] as const;
/** Longer made-up rows are not run: few models take them, and they take long. */
const MAX_LENGTH = 512;

export type Found =
  | {
      readonly kind: 'shape';
      readonly shape: ProbeShape;
      /** Bytes of its inputs, or of its outputs where these are more. */
      readonly rowBytes: number;
    }
  /** No made-up input runs; the last refusal says why. */
  | { readonly kind: 'none'; readonly reason: string }
  /** The runner died, hung, or ran for too long under one: the model must not serve. */
  | { readonly kind: 'crashed'; readonly reason: string };

const TOO_LONG =
  'the model computes for too long with made-up values; tensorgate.probe_values says with which it does not';

/**
 * Finds made-up values, and sizes of open axes, that the model takes.
 * @param ranges in the order in which they are tried.
 */
export async function findProbeShape(
  run: RunRows,
  inputs: readonly ModelTensor[],
  ranges: readonly ValueRange[],
): Promise<Found> {
  let reason = '';
  for (const range of ranges) {
    for (const openAxisSize of hasOpenAxis(inputs) ? OPEN_AXIS_SIZES : [1]) {
      const found = await tryShape(run, inputs, { openAxisSize, range });
      if (found.kind === 'crashed') return found;
      if (found.kind === 'shape') return range === 'small' ? widened(run, inputs, found) : found;
      reason = found.reason;
    }
  }
  return { kind: 'none', reason };
}

async function tryShape(run: RunRows, inputs: readonly ModelTensor[], shape: ProbeShape): Promise<Found> {
  const made = fixedRow(inputs, shape);
  const outcome = await run([made]);
  if (outcome.kind === 'ok') {
    const answered = outcome.outputs.reduce((sum, { data }) => sum + data.byteLength, 0);
    return { kind: 'shape', shape, rowBytes: Math.max(made.bytes, answered) };
  }
  const reason = reasonOf(outcome);
  if (outcome.kind === 'crashed' || outcome.kind === 'timed_out') return { kind: 'crashed', reason };
  if (outcome.kind === 'overran') return { kind: 'crashed', reason: `${reason}: ${TOO_LONG}` };
  return { kind: 'none', reason };
}

/** Sizes of a vocabulary to try for an integer input, the largest that `wide` values have first. */
const BOUNDS = [100, 64, 32, 16, 8, 4, 3] as const;

/**
 * Finds how large the integers of each input may be, where values over the whole range do not run: rows of 0 and 1 are too alike
 * for a proof, and one input of a small vocabulary must not narrow the others.
 * @param small what runs with 0 and 1.
 */
async function widened(run: RunRows, inputs: readonly ModelTensor[], small: Found & { kind: 'shape' }): Promise<Found> {
  const bounds: (number | undefined)[] = [];
  for (const [index, { datatype, probeValue }] of inputs.entries()) {
    if (probeValue !== undefined || !INTEGERS.has(datatype)) continue;
    bounds[index] = 2;
    for (const bound of BOUNDS) {
      const found = await tryShape(run, inputs.with(index, largestOf(inputs, index, bound)), small.shape);
      if (found.kind === 'crashed') return found;
      if (found.kind === 'none') continue;
      bounds[index] = bound;
      break;
    }
  }
  const wide = await tryShape(run, inputs, { ...small.shape, range: 'wide', bounds });
  return wide.kind === 'none' ? small : wide;
}

const INTEGERS: ReadonlySet<Datatype> = new Set([
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
]);

/** The input, all of whose elements are the last that a vocabulary of `bound` has. */
function largestOf(inputs: readonly ModelTensor[], index: number, bound: number): ModelTensor {
  const input = inputs[index];
  if (input === undefined) throw new TypeError(`no input ${index}`);
  return { ...input, probeValue: bound - 1 };
}

function hasOpenAxis(inputs: readonly ModelTensor[]): boolean {
  return inputs.some(
    ({ shape, rowAxis, probeShape }) => probeShape === undefined && shapeOfRow(shape, rowAxis).includes(-1),
  );
}

export interface Measured {
  readonly openAxisSize: number;
  readonly rows: number;
  readonly elapsedMs: number;
}

/**
 * Runs a batch of `rows`, or of as many as there is room for, on each of the idle instances at once: the first run of an
 * instance is slow, and no caller's.
 */
export async function warmInstances(
  run: RunRows,
  inputs: readonly ModelTensor[],
  shape: ProbeShape,
  load: { readonly rows: number; readonly instances: number },
): Promise<void> {
  for (let { rows } = load; rows >= 1; rows = Math.floor(rows / 2)) {
    const batch = rowsOf(inputs, shape, rows);
    const outcomes = await Promise.all(Array.from({ length: load.instances }, () => run(batch)));
    for (const outcome of outcomes) if (outcome.kind === 'ok') outcome.memory?.giveBack();
    if (!outcomes.some(isTooLarge)) return;
  }
}

/**
 * Runs batches of 1, 2, 4, … up to `maxRows`, while the budget lasts, and measures each. Where an axis is open, two more lengths
 * follow, so that others are predicted from three.
 */
export async function measureBatches(
  run: RunRows,
  inputs: readonly ModelTensor[],
  shape: ProbeShape,
  maxRows: number,
): Promise<Measured[]> {
  const end = performance.now() + SWEEP_BUDGET_MS;
  const costs = new CostModel();
  const measured = await measureSizes(run, inputs, { shape, maxRows, step: 2 }, costs, end);
  if (!hasOpenAxis(inputs)) return measured;
  for (const factor of LENGTH_FACTORS) {
    const openAxisSize = shape.openAxisSize * factor;
    if (openAxisSize > MAX_LENGTH) break;
    const sweep = { shape: { ...shape, openAxisSize }, maxRows, step: 4 };
    measured.push(...(await measureSizes(run, inputs, sweep, costs, end)));
  }
  return measured;
}

interface Sweep {
  readonly shape: ProbeShape;
  readonly maxRows: number;
  /** Factor from one size to the next. */
  readonly step: number;
}

async function measureSizes(
  run: RunRows,
  inputs: readonly ModelTensor[],
  { shape, maxRows, step }: Sweep,
  costs: CostModel,
  end: number,
): Promise<Measured[]> {
  const measured: Measured[] = [];
  const { shapes, bytes } = fixedRow(inputs, shape);
  const size = rowSizeOf(shapes, 'whole', inputs);
  const largest = warmUpRows(bytes, maxRows);
  for (let rows = 1; ; rows = Math.min(rows * step, largest)) {
    const expectedMs = costs.predict(size, rows, performance.now(), 0) ?? 0;
    // The first length is measured in every size until the time is over; the others only in sizes that there is time for.
    if (performance.now() + (step > 2 ? RUNS_PER_SIZE * expectedMs : 0) > end) return measured;
    const batch = rowsOf(inputs, shape, rows);
    const elapsedMs = await fastestRun(run, batch);
    if (elapsedMs === undefined) return measured;
    for (let repeat = 0; repeat < RUNS_PER_SIZE; repeat++) {
      measured.push({ openAxisSize: shape.openAxisSize, rows, elapsedMs });
      costs.observe(size, rows, elapsedMs, performance.now(), 0);
    }
    if (rows === largest) return measured;
  }
}

/** @returns milliseconds; `undefined` where a run fails */
async function fastestRun(run: RunRows, batch: readonly InferTensors[]): Promise<number | undefined> {
  let fastestMs = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < RUNS_PER_SIZE; repeat++) {
    const started = performance.now();
    const outcome = await run(batch);
    if (outcome.kind !== 'ok') return undefined;
    outcome.memory?.giveBack();
    fastestMs = Math.min(fastestMs, performance.now() - started);
  }
  return fastestMs;
}

/**
 * Bytes of the largest batch that is made up, going in or coming out. A runner keeps the memory of its largest batch several times:
 * for inputs, for outputs, and in the session's arena. Batches of large rows stay far smaller unless more rows gain (`batch-rows.ts`).
 */
const MAX_WARM_UP_BYTES = 8 * 1024 * 1024;

/** The largest batch to warm up with, in rows: what a batch may have, or what fits 8 MiB. */
export function warmUpRows(rowBytes: number, maxRows: number): number {
  return Math.max(1, Math.min(maxRows, Math.floor(MAX_WARM_UP_BYTES / Math.max(1, rowBytes))));
}

/** The same row again and again: what a batch costs does not depend on its values. */
function rowsOf(inputs: readonly ModelTensor[], shape: ProbeShape, count: number): InferTensors<Uint8Array>[] {
  const one = fixedRow(inputs, shape);
  return Array.from({ length: count }, () => one);
}
