import path from 'node:path';
import { onTestFinished } from 'vitest';
import { type InferTensors, UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import type { TensorBatch } from '../../src/gateway/batch/batch.ts';
import { InstanceGroup, type InstanceGroupOptions } from '../../src/gateway/dispatch/instance-group.ts';
import { RunnerProcess } from '../../src/gateway/dispatch/runner-process.ts';
import type { RunRows } from '../../src/gateway/models/trial/row-independence.ts';
import { MODEL_CONFIG } from '../../src/gateway/repository/config/model-config.ts';
import { sessionOptions } from '../../src/gateway/repository/config/session-options.ts';
import type { ModelSpec } from '../../src/worker/protocol.ts';
import { loopModel, writeModel } from './onnx-models.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** Long enough for any load or run of a tiny model on a machine that is busy with other tests. */
export const PATIENCE_MS = 30_000;

/** What an instance on the CPU loads, with the options that a server uses. */
export function sessionSpec(modelPath: string, fields: Partial<ModelSpec> = {}): ModelSpec {
  return {
    modelPath,
    providers: ['cpu'],
    strictProviders: false,
    deviceId: 0,
    options: sessionOptions(MODEL_CONFIG.parse({})),
    ...fields,
  };
}

/** A model file that is gone after the test. */
export function modelFile(bytes: Uint8Array): string {
  return writeModel(temporaryDirectory(), 'm', 1, bytes);
}

/** A runner that is gone after the test. */
export function startRunner(name = 'test'): RunnerProcess {
  const runner = RunnerProcess.start(name, process.env);
  onTestFinished(async () => {
    runner.kill('the test is over');
    await runner.ended;
  });
  return runner;
}

/** The process id of a runner that is alive. */
export function pidOf({ pid }: { readonly pid: number | undefined }): number {
  if (pid === undefined) throw new Error('no process');
  return pid;
}

/** True while there is such a process. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Options of a group whose model is in `modelPath`. */
export function groupOptions(modelPath: string, fields: Partial<InstanceGroupOptions> = {}): InstanceGroupOptions {
  return {
    model: { name: path.basename(path.dirname(path.dirname(modelPath))), version: '1' },
    specs: [sessionSpec(modelPath)],
    mailboxDirectory: temporaryDirectory(),
    loadLimitMs: PATIENCE_MS,
    maxOutputBytes: 64 * 2 ** 20,
    onIdle: () => {},
    onOutage: () => {},
    ...fields,
  };
}

/** One instance of a model in a runner of its own, which runs rows as one batch. */
export async function runRowsOf(bytes: Uint8Array): Promise<RunRows> {
  const group = new InstanceGroup(groupOptions(modelFile(bytes)));
  await group.load(startRunner());
  const { inputs } = group.info;
  return (rows) => group.run(batchOf(rows), { inputs, axis: 'rows' }, { maxMs: PATIENCE_MS });
}

export function batchOf(requests: readonly InferTensors[]): TensorBatch {
  return {
    requests: requests.map((tensors) => ({ tensors })),
    rows: requests.reduce((sum, { rows }) => sum + rows, 0),
  };
}

/** A request of one row for the loop model: it runs about 50 us an iteration, and answers `value`. */
export function loopRow(iterations: number, value = 0): InferTensors {
  const inputs = [
    new Uint8Array(new BigInt64Array([BigInt(iterations)]).buffer),
    new Uint8Array(new Float32Array([value]).buffer),
  ];
  return {
    rows: 1,
    bytes: 12,
    size: UNIT_ROW,
    bucket: '1,;1,;',
    inputs,
    shapes: [
      [1, 1],
      [1, 1],
    ],
  };
}

/** The loop model's file. */
export function loopModelFile(): string {
  return modelFile(loopModel());
}

/** So many iterations take minutes: a run that only the end of its process ends. */
export const ENDLESS = 10_000_000;
