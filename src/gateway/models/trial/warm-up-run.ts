/** The warm-up that a configuration asks for: requests that every instance has answered before the model serves. */

import { type InferTensors, UNIT_ROW } from '../../admit/infer-tensors.ts';
import type { WarmUpInput, WarmUpSample } from '../../repository/warm-up-sample.ts';
import { reasonOf } from './failed-run.ts';
import type { RunRows } from './row-independence.ts';
import { seededRandom, syntheticRow } from './synthetic-input.ts';

/**
 * Runs each sample on all instances at once, as often as it says.
 * @param instances all of them, and all idle.
 * @throws Error which names the sample that was not answered, and why.
 */
export async function runWarmUps(samples: readonly WarmUpSample[], run: RunRows, instances: number): Promise<void> {
  for (const { name, rows, count, inputs } of samples) {
    const row = rowOf(inputs);
    const batch = Array.from({ length: rows }, () => row);
    for (let time = 0; time < count; time++) {
      const outcomes = await Promise.all(Array.from({ length: instances }, () => run(batch)));
      for (const outcome of outcomes) {
        if (outcome.kind !== 'ok') throw new Error(`${name} was not answered: ${reasonOf(outcome)}`);
      }
    }
  }
}

function rowOf(inputs: readonly WarmUpInput[]): InferTensors<Uint8Array> {
  const random = seededRandom(1);
  const values = inputs.map((input) => {
    if (input.data !== 'random') return input.data;
    const [made] = syntheticRow([input], { openAxisSize: 1, range: 'wide', random, magnitude: 1 }).inputs;
    return made ?? new Uint8Array();
  });
  const bytes = values.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { rows: 1, bytes, size: UNIT_ROW, bucket: '', inputs: values, shapes: inputs.map(({ shape }) => shape) };
}
