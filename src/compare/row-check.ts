/**
 * Whether rows of a batch influence each other: on made-up rows, as a server finds out before it serves a model, and on the
 * data, in numbers. Rows must be unlike: of equal ones no influence shows.
 */

import { RunError } from '../compress/runner-session.ts';
import type { InferTensors } from '../gateway/admit/infer-tensors.ts';
import { outputAxes } from '../gateway/batch/batch.ts';
import { findRowDependence } from '../gateway/models/trial/row-independence.ts';
import { PROBE_RANGES } from '../gateway/models/trial/synthetic-input.ts';
import { findProbeShape } from '../gateway/models/trial/warm-up.ts';
import { Comparison } from '../gateway/rollout/agreement.ts';
import type { Contender } from './contender.ts';
import type { RowIndependence } from './report.ts';
import { byShape, type Sample } from './sample.ts';

/** Beside each other in one run. */
const BATCH_ROWS = 16;

/** @param samples unlike ones, some tens. */
export async function checkRows(contender: Contender, samples: readonly Sample[]): Promise<RowIndependence> {
  const { signature, runRows } = contender;
  if (signature.batching.kind === 'off' || contender.maxRows === 1) {
    const reason = signature.batching.kind === 'off' ? { reason: signature.batching.reason } : {};
    return { verdict: 'unbatched', rows: 0, max: 0, changed: 0, ...reason };
  }
  const measured = await measure(contender, samples).catch((error: unknown) => {
    if (!(error instanceof RunError)) throw error;
    return { rows: 0, max: 0, changed: 0, reason: error.message };
  });
  if ('reason' in measured) return { verdict: 'dependent', ...measured };
  const found = await findProbeShape(runRows, signature.inputs, PROBE_RANGES);
  const reason =
    found.kind === 'shape'
      ? await findRowDependence(runRows, signature.inputs, found.shape, outputAxes(signature.outputs))
      : `no made-up input runs: ${found.reason}`;
  return reason === undefined ? { verdict: 'independent', ...measured } : { verdict: 'dependent', ...measured, reason };
}

async function measure(contender: Contender, samples: readonly Sample[]) {
  let max = 0;
  let changed = 0;
  let compared = 0;
  const size = Math.min(BATCH_ROWS, contender.maxRows);
  for (const rows of runsOf(samples, size)) {
    compared += rows.length;
    const together = await contender.answer(rows);
    for (const [index, row] of rows.entries()) {
      const [alone] = await contender.answer([row]);
      const comparison = new Comparison(alone ?? [], together[index] ?? []);
      while (!comparison.advance());
      max = Math.max(max, comparison.agreement.absolute);
      if (comparison.agreement.rowsDisagreeing > 0) changed++;
    }
  }
  return { rows: compared, max, changed };
}

/** The samples as runs of 2 to `size` rows. A row without another of its shape has no neighbour that could influence it. */
function runsOf(samples: readonly Sample[], size: number): InferTensors[][] {
  const runs = byShape(samples).flatMap((alike) => {
    const rows = alike.map(({ tensors }) => tensors);
    const count = Math.ceil(rows.length / size);
    const start = (run: number): number => Math.floor((run * rows.length) / count);
    return Array.from({ length: count }, (_, run) => rows.slice(start(run), start(run + 1)));
  });
  return runs.filter(({ length }) => length > 1);
}
