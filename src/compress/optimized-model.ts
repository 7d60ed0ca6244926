/** The graph that ONNX Runtime makes of a model: what really runs, after its fusions. */

import path from 'node:path';
import { openModel, type RunnerOptions, withTemporaryModel } from './model-run.ts';
import { type OnnxModel, readOnnxModel } from './onnx/model-file.ts';

/** How often an operator runs in a pass over the graph. */
export interface OperatorCount {
  /** `''` for the standard operators, `com.microsoft` for most of ONNX Runtime's own. */
  readonly domain: string;
  readonly opType: string;
  readonly count: number;
}

/**
 * The operators that run, the most frequent first; those inside of subgraphs are not counted.
 * @throws CompressError (`runner`)
 */
export async function countOperators(model: OnnxModel, options: RunnerOptions): Promise<OperatorCount[]> {
  const counts = new Map<string, { domain: string; opType: string; count: number }>();
  for (const { domain, opType } of (await optimizedModel(model, options)).graph?.node ?? []) {
    const key = `${domain}:${opType}`;
    const found = counts.get(key);
    if (found === undefined) counts.set(key, { domain: domain === 'ai.onnx' ? '' : domain, opType, count: 1 });
    else found.count++;
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || (a.opType < b.opType ? -1 : 1));
}

/** The model as ONNX Runtime optimizes it at `options.graphOptimizationLevel`. @throws CompressError (`runner`) */
export async function optimizedModel(model: OnnxModel, options: RunnerOptions): Promise<OnnxModel> {
  return withTemporaryModel(model, options, async (file) => {
    const optimized = path.join(path.dirname(file), 'optimized.onnx');
    const session = await openModel(file, { ...options, optimizedModelFilePath: optimized });
    await session[Symbol.asyncDispose]();
    return readOnnxModel(optimized);
  });
}
