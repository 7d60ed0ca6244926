/** A made-up request that a version is known to answer: its trial ran one of the same shape. */

import type { TensorSpec } from '../../wire/tensor.ts';
import type { Servable } from './servable.ts';
import { fixedRow } from './trial/synthetic-input.ts';

/** One row, or the whole shape where the model does not batch. */
export interface SampleInput extends TensorSpec {
  /** Value of every element; a text has one letter. */
  readonly value: number;
}

/**
 * `undefined` where none is known: no made-up input runs, an ensemble of other inputs than texts, a sequence model, a version that is
 * not READY.
 */
export function sampleRequest(model: Servable): readonly SampleInput[] | undefined {
  if (model.state !== 'READY' || model.config.sequence_batching !== undefined) return undefined;
  const { signature, probe } = model.ready;
  const isOfTexts = signature.inputs.every(({ elements, shape }) => elements?.isBinary === false && shape.length === 1);
  if (isOfTexts) return signature.inputs.map(({ name, datatype }) => ({ name, datatype, shape: [1], value: 1 }));
  if (probe === undefined) return undefined;
  const { shapes } = fixedRow(signature.inputs, probe);
  // Each of the other ranges has held 1: as an index, a step and a size it is the safest value.
  const usual = probe.range === 'zero' ? 0 : 1;
  return signature.inputs.flatMap(({ name, datatype, probeValue, default: value }, index) => {
    if (value !== undefined) return [];
    const largest = (probe.bounds?.[index] ?? Number.POSITIVE_INFINITY) - 1;
    return { name, datatype, shape: shapes[index] ?? [], value: probeValue ?? Math.min(usual, largest) };
  });
}
