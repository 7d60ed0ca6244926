/**
 * Whether a model may be batched, by the gateway's own rule: the same unlike rows, run together and apart, that decide before
 * a version serves.
 */

import { type InferTensors, UNIT_ROW } from '../gateway/admit/infer-tensors.ts';
import { outputAxes } from '../gateway/batch/batch.ts';
import { compareTogether, findRowDependence } from '../gateway/models/trial/row-independence.ts';
import { PROBE_RANGES } from '../gateway/models/trial/synthetic-input.ts';
import { findProbeShape } from '../gateway/models/trial/warm-up.ts';
import { MODEL_CONFIG } from '../gateway/repository/config/model-config.ts';
import { type ModelSignature, resolveSignature } from '../gateway/repository/signature/model-signature.ts';
import { findRowAxes } from '../gateway/repository/signature/row-axes.ts';
import { type Feeds, openModel, type RunnerOptions } from './model-run.ts';
import type { OnnxModel } from './onnx/model-file.ts';

export type RowVerdict =
  | { readonly kind: 'independent' }
  /** The answer to a row changes with the rows beside it: it must not be batched. */
  | { readonly kind: 'dependent'; readonly reason: string }
  /** It has no batch axis, so that rows never meet. */
  | { readonly kind: 'unbatched'; readonly reason: string }
  /** No row was found that the model takes. */
  | { readonly kind: 'unverified'; readonly reason: string };

/** As many real rows as made-up ones are compared at once. */
const MAX_ROWS = 4;

/**
 * @param samples real inputs, unlike each other, of which the first row is taken; made-up ones are tried besides.
 * @throws CompressError (`runner`) where the model does not open.
 */
export async function verifyRows(
  model: string | OnnxModel,
  options: RunnerOptions,
  samples: readonly Feeds[] = [],
): Promise<RowVerdict> {
  const session = await openModel(model, options);
  try {
    const found = findRowAxes(session.info, MODEL_CONFIG.parse({}));
    if (found.kind === 'impossible') return { kind: 'unbatched', reason: found.text };
    // Where the names of the axes leave a doubt, the configuration may still say that there are rows.
    const signature = resolveSignature(session.info, MODEL_CONFIG.parse({ max_batch_size: MAX_ROWS }));
    const { inputs, outputs } = signature;
    const run = session.runRows(signature);
    const axes = outputAxes(outputs);
    const rows = alike(samples.flatMap((feeds) => firstRow(feeds, signature) ?? []));
    if (rows.length > 1) {
      const reason = await compareTogether(run, rows, axes);
      if (reason !== undefined) return { kind: 'dependent', reason };
    }
    const probe = await findProbeShape(run, inputs, PROBE_RANGES);
    if (probe.kind !== 'shape') {
      return rows.length > 1 ? { kind: 'independent' } : { kind: 'unverified', reason: probe.reason };
    }
    const reason = await findRowDependence(run, inputs, probe.shape, axes);
    return reason === undefined ? { kind: 'independent' } : { kind: 'dependent', reason };
  } finally {
    await session[Symbol.asyncDispose]();
  }
}

/** The first row of each input; `undefined` where rows do not lie on axis 0. */
function firstRow(feeds: Feeds, { inputs }: ModelSignature): InferTensors | undefined {
  const values: Uint8Array[] = [];
  const shapes: number[][] = [];
  for (const { name, datatype, rowAxis } of inputs) {
    const value = feeds.get(name);
    const count = value?.shape[0] ?? 0;
    if (value === undefined || count === 0 || rowAxis !== undefined || datatype === 'BYTES') return undefined;
    values.push(value.data.subarray(0, value.data.byteLength / count));
    shapes.push([1, ...value.shape.slice(1)]);
  }
  const bytes = values.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { rows: 1, bytes, size: UNIT_ROW, bucket: '', inputs: values, shapes };
}

/** Those that can share a batch with the first. */
function alike(rows: readonly InferTensors[]): InferTensors[] {
  const shapeOf = ({ shapes }: InferTensors): string => shapes.join(';');
  const [first] = rows;
  return rows.filter((row) => first !== undefined && shapeOf(row) === shapeOf(first)).slice(0, MAX_ROWS);
}
