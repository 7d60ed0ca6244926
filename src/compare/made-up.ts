/** Made-up rows for models without data: they show that a model runs, and how fast, but not how well. */

import { PROBE_RANGES, seededRandom, syntheticRow } from '../gateway/models/trial/synthetic-input.ts';
import { findProbeShape } from '../gateway/models/trial/warm-up.ts';
import type { Contender } from './contender.ts';
import { DataError, type Dataset } from './sample.ts';

const ROWS = 64;

/** @throws DataError where the model takes no made-up values */
export async function makeUpData({ signature, runRows }: Contender): Promise<Dataset> {
  const found = await findProbeShape(runRows, signature.inputs, PROBE_RANGES);
  if (found.kind !== 'shape') {
    throw new DataError(
      `the model takes no made-up values (${found.reason}): give data with --calibrate or --evaluate`,
    );
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
