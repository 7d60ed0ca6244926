/** Counters of a model on a server, as ModelStatistics gives them since its load. */

import type { ModelStatistics } from '../client/inference-client.ts';
import type { LevelResult } from './result.ts';

export interface ServerCounters {
  readonly requests: number;
  readonly rows: number;
  readonly batches: number;
  /** Sums over the requests, in nanoseconds. */
  readonly queueNs: number;
  readonly inputNs: number;
  readonly inferNs: number;
  readonly outputNs: number;
}

/** The sum over the versions. */
export function countersOf(versions: readonly ModelStatistics[]): ServerCounters {
  const sum = (of: (version: ModelStatistics) => number | undefined): number =>
    versions.reduce((total, version) => total + Number(of(version) ?? 0), 0);
  return {
    requests: sum(({ inferenceStats }) => inferenceStats?.success.count),
    rows: sum(({ inferenceCount }) => inferenceCount),
    batches: sum(({ executionCount }) => executionCount),
    queueNs: sum(({ inferenceStats }) => inferenceStats?.queue.ns),
    inputNs: sum(({ inferenceStats }) => inferenceStats?.computeInput.ns),
    inferNs: sum(({ inferenceStats }) => inferenceStats?.computeInfer.ns),
    outputNs: sum(({ inferenceStats }) => inferenceStats?.computeOutput.ns),
  };
}

/** Work of the server between two counters; `undefined` where it counted no request. */
export function serverWork(before: ServerCounters, after: ServerCounters): LevelResult['server'] {
  const requests = after.requests - before.requests;
  // Counters that fell are of a model that was loaded again.
  if (requests <= 0) return undefined;
  const batches = after.batches - before.batches;
  const meanMs = (key: 'queueNs' | 'inputNs' | 'inferNs' | 'outputNs'): number =>
    Math.max(0, after[key] - before[key]) / requests / 1e6;
  return {
    requests,
    rowsPerBatch: batches > 0 ? (after.rows - before.rows) / batches : null,
    queueMs: meanMs('queueNs'),
    inputMs: meanMs('inputNs'),
    inferMs: meanMs('inferNs'),
    outputMs: meanMs('outputNs'),
  };
}
