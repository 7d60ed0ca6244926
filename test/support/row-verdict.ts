/** Whether a model of the compressor's tests may be batched, by the check that `tensorgate compress` reports. */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Contender } from '../../src/compare/contender.ts';
import type { RowIndependence } from '../../src/compare/report.ts';
import { checkRows } from '../../src/compare/row-check.ts';
import type { Sample } from '../../src/compare/sample.ts';
import { findTarget } from '../../src/compare/target.ts';
import type { Feeds } from '../../src/compress/model-run.ts';
import { encodeOnnxModel, type OnnxModel } from '../../src/compress/onnx/model-file.ts';
import { UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import { writeModel } from './onnx-models.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/**
 * @param samples different inputs; the first row of each is compared by itself and beside the others
 * @param config the model's config.yaml
 */
export async function rowVerdict(
  model: OnnxModel | Uint8Array,
  samples: readonly Feeds[] = [],
  config = '',
): Promise<RowIndependence> {
  const repository = temporaryDirectory();
  const bytes = model instanceof Uint8Array ? model : encodeOnnxModel(model, 'test');
  const file = writeModel(repository, 'm', 1, bytes);
  writeFileSync(path.join(repository, 'm', 'config.yaml'), config);
  const target = await findTarget(repository, 'm', undefined);
  const source = { name: 'base', kind: 'base', file, files: [file], steps: [] } as const;
  const mailboxDirectory = temporaryDirectory();
  await using contender = await Contender.open(source, target, { env: process.env, mailboxDirectory });
  const names = contender.signature.inputs.map(({ name }) => name);
  return await checkRows(
    contender,
    samples.map((feeds, index) => firstRow(String(index), names, feeds)),
  );
}

function firstRow(name: string, inputNames: readonly string[], feeds: Feeds): Sample {
  const inputs: Uint8Array[] = [];
  const shapes: number[][] = [];
  for (const inputName of inputNames) {
    const value = feeds.get(inputName);
    if (value === undefined) throw new Error(`sample ${name} has no '${inputName}'`);
    const [rows = 0, ...rest] = value.shape;
    inputs.push(value.data.subarray(0, value.data.byteLength / rows));
    shapes.push([1, ...rest]);
  }
  const bytes = inputs.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { name, tensors: { rows: 1, bytes, size: UNIT_ROW, bucket: '', inputs, shapes } };
}
