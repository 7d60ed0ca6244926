/** Whether batches answer more rows in the same time than runs of one row, by the sweep before READY. */

import type { Measured } from './warm-up.ts';

/** Less than this is noise, and pays for no queue. */
const LEAST_GAIN = 1.05;
/** Smaller batches do not show whether larger ones would pay. */
const LEAST_ROWS = 4;

/** The batch size with the least time per row, beside as many runs of one row. */
export interface BatchGain {
  readonly rows: number;
  readonly batchMs: number;
  readonly oneByOneMs: number;
}

/** @returns `undefined` where too little was measured. */
export function findBatchGain(measured: readonly Measured[]): BatchGain | undefined {
  const openAxisSize = measured[0]?.openAxisSize;
  // The fastest run of each size: a busy machine only slows runs down.
  const fastest = new Map<number, number>();
  for (const run of measured) {
    if (run.openAxisSize !== openAxisSize) continue;
    fastest.set(run.rows, Math.min(run.elapsedMs, fastest.get(run.rows) ?? Number.POSITIVE_INFINITY));
  }
  const single = fastest.get(1);
  const batches = [...fastest].filter(([rows]) => rows >= LEAST_ROWS);
  const [best] = batches.sort(([rows, ms], [others, otherMs]) => ms / rows - otherMs / others);
  if (single === undefined || best === undefined) return undefined;
  const [rows, batchMs] = best;
  return { rows, batchMs, oneByOneMs: single * rows };
}

/** @returns a sentence for the log, or `undefined` where batching pays, or too little was measured. */
export function describeLackOfGain(gain: BatchGain | undefined): string | undefined {
  if (gain === undefined || gain.oneByOneMs / gain.batchMs >= LEAST_GAIN) return undefined;
  const { rows, batchMs, oneByOneMs } = gain;
  return `batching does not pay for this model: ${rows} rows take ${inMs(batchMs)} in one batch and ${inMs(oneByOneMs)} one by one; max_batch_size: 0 turns it off`;
}

function inMs(ms: number): string {
  return `${Number(ms.toPrecision(3))} ms`;
}
