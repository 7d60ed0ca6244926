/** The operator tests of the ONNX project: whatever they hold, rewriting changes no answer. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { CompressError } from '../../../src/compress/compress-error.ts';
import { fold } from '../../../src/compress/folding.ts';
import { Graph } from '../../../src/compress/onnx/graph.ts';
import { decodeOnnxModel, encodeOnnxModel, type OnnxModel } from '../../../src/compress/onnx/model-file.ts';
import { upgradeOperatorSet } from '../../../src/compress/onnx/operator-set.ts';
import { defectsOf } from '../../support/network.ts';
import { listCases, type OnnxCase, readCase } from '../../support/onnx-test-data.ts';
import { onnxTestData } from '../../tools/tools.ts';

const root = onnxTestData();
if (root === undefined) console.warn('SKIPPED: the test data of ONNX is not there; test/tools/setup.sh installs it');

const OPTIONS: InferenceSession.SessionOptions = { logSeverityLevel: 4, intraOpNumThreads: 1 };

/** Brought to a newer operator set where that can be done, and folded. */
function rewritten(model: OnnxModel): OnnxModel {
  const graph = new Graph(model);
  try {
    upgradeOperatorSet(graph);
  } catch (error) {
    if (!(error instanceof CompressError)) throw error;
    return new Graph(model).toModel('rewritten');
  }
  fold(graph, () => undefined);
  return graph.toModel('rewritten');
}

type Answers = ReadonlyMap<string, { readonly dims: readonly number[]; readonly data: Float32Array }>;

/** The float32 outputs for the case's inputs; `undefined` where the binding for Node does not run it. */
async function answersOf(bytes: Uint8Array, oneCase: OnnxCase): Promise<Answers | undefined> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(bytes, OPTIONS);
  } catch {
    return undefined;
  }
  try {
    const feeds = readCase(oneCase).inputs.map(({ name, datatype, shape, raw }): [string, Tensor] => {
      const { buffer } = Uint8Array.from(raw);
      if (datatype === 'FP32') return [name, new Tensor('float32', new Float32Array(buffer), [...shape])];
      if (datatype === 'INT64') return [name, new Tensor('int64', new BigInt64Array(buffer), [...shape])];
      throw new Error('other types are not compared');
    });
    const outputs = Object.entries(await session.run(Object.fromEntries(feeds)));
    return new Map(
      outputs.flatMap(([name, { dims, data }]) => (data instanceof Float32Array ? [[name, { dims, data }]] : [])),
    );
  } catch {
    return new Map();
  } finally {
    await session.release();
  }
}

describe.skipIf(root === undefined)("ONNX's operator tests", () => {
  test('are sound after rewriting, and give the same answers', { timeout: 240_000 }, async () => {
    const wrong: string[] = [];
    let compared = 0;
    let upgraded = 0;
    for (const oneCase of listCases(root ?? '')) {
      const bytes = readFileSync(path.join(oneCase.directory, 'model.onnx'));
      const before = await answersOf(bytes, oneCase);
      if (before === undefined) continue;
      const model = decodeOnnxModel(bytes, oneCase.name);
      const after = rewritten(model);
      // Some are older than the quantized operators.
      const defects = defectsOf(after).filter((defect) => !defect.startsWith('operator set'));
      wrong.push(...defects.map((defect) => `${oneCase.name}: ${defect}`));
      const now = await answersOf(encodeOnnxModel(after, oneCase.name), oneCase);
      if (now === undefined) wrong.push(`${oneCase.name} does not open`);
      for (const [name, { dims, data }] of before) {
        const other = now?.get(name);
        const isSame =
          String(other?.dims) === String(dims) &&
          data.every((value, at) => {
            const off = Math.abs(value - (other?.data[at] ?? Number.NaN));
            return Object.is(value, other?.data[at]) || off <= 1e-5 * Math.max(1, Math.abs(value));
          });
        if (!isSame) wrong.push(`${oneCase.name}: '${name}' is another`);
        compared++;
        if (
          String(after.opsetImport.map(({ version }) => version)) !==
          String(model.opsetImport.map(({ version }) => version))
        ) {
          upgraded++;
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(400);
    expect(upgraded).toBeGreaterThan(100);
  });
});
