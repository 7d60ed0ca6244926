/** Made-up rows for models without data: they show that a model runs, and how fast, but not how well. */

import type { RunRows } from '../gateway/models/trial/row-independence.ts';
import { PROBE_RANGES, seededRandom, syntheticRow } from '../gateway/models/trial/synthetic-input.ts';
import { findProbeShape } from '../gateway/models/trial/warm-up.ts';
import type { ModelTensor } from '../gateway/repository/signature/row-axis.ts';
import { DataError, type Dataset } from './sample.ts';

const ROWS = 64;

export interface RunnableModel {
  readonly signature: { readonly inputs: readonly ModelTensor[] };
  readonly runRows: RunRows;
}

/**
 * @param options of the command that give data instead, for the error
 * @throws DataError where the model takes no made-up values
 */
export async function makeUpData({ signature, runRows }: RunnableModel, options: string): Promise<Dataset> {
  const found = await findProbeShape(runRows, signature.inputs, PROBE_RANGES);
  if (found.kind !== 'shape') {
    throw new DataError(`the model takes no made-up values (${found.reason}): give data with ${options}`);
  }
  const { shape } = found;
  return {
    source: 'made-up values',
    count: ROWS,
    read: async (index) => {
      const recipe = { ...shape, random: seededRandom(index + 1), magnitude: 1 };
      return { name: `made-up row ${index}`, tensors: syntheticRow(signature.inputs, recipe) };
    },
  };
}
