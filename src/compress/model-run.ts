/** A model in memory, run in a runner: this process loads no native code, and a model may take its process down. */

import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { LoadError } from '../gateway/dispatch/runner-process.ts';
import type { Datatype, Shape } from '../wire/tensor.ts';
import type { SessionOptions } from '../worker/protocol.ts';
import { CompressError } from './compress-error.ts';
import { type OnnxModel, writeOnnxModel } from './onnx/model-file.ts';
import { RunError, RunnerSession } from './runner-session.ts';

export interface TensorValue {
  readonly datatype: Datatype;
  readonly shape: Shape;
  /** Row-major and little-endian, as the protocol's raw contents. */
  readonly data: Uint8Array;
}

/** Values by the names of inputs or outputs. */
export type Feeds = ReadonlyMap<string, TensorValue>;

/** Where and how ONNX Runtime runs. */
export interface RunnerOptions {
  readonly env: NodeJS.ProcessEnv;
  /** For the tensors and files that pass between the processes: best on a memory file system. The system's temporary one by default. */
  readonly directory?: string;
  /** Threads that compute one run; 1 by default. */
  readonly threads?: number;
  /** Time limit of one load or run; two minutes by default. */
  readonly limitMs?: number;
  /** `all` by default. */
  readonly graphOptimizationLevel?: SessionOptions['graphOptimizationLevel'];
  /** Where ONNX Runtime is to write the graph after its fusions. */
  readonly optimizedModelFilePath?: string;
}

/**
 * Opens a model.
 * @param model a file, or a model, which is then written to a temporary one.
 * @throws CompressError (`runner`) where ONNX Runtime does not take it.
 */
export async function openModel(model: string | OnnxModel, options: RunnerOptions): Promise<RunnerSession> {
  if (typeof model !== 'string') return withTemporaryModel(model, options, (file) => openModel(file, options));
  const { env, directory = os.tmpdir(), threads, limitMs, graphOptimizationLevel, optimizedModelFilePath } = options;
  const session = {
    ...(threads !== undefined && { intraOpNumThreads: threads }),
    ...(graphOptimizationLevel !== undefined && { graphOptimizationLevel }),
    ...(optimizedModelFilePath !== undefined && { optimizedModelFilePath }),
  };
  try {
    return await RunnerSession.open(model, {
      env,
      name: 'compress',
      mailboxDirectory: directory,
      session,
      ...(limitMs !== undefined && { limitMs }),
    });
  } catch (cause) {
    if (!(cause instanceof LoadError)) throw cause;
    throw new CompressError('runner', `ONNX Runtime does not open the model: ${cause.message}`, { cause });
  }
}

/**
 * One run of an open model.
 * @returns all outputs.
 * @throws CompressError (`calibration`) where the values do not fit the model, (`runner`) where the run fails.
 */
export async function runModel(session: RunnerSession, feeds: Feeds): Promise<Feeds> {
  const tensors = session.info.inputs.map(({ name, datatype, shape }) => {
    const value = feeds.get(name);
    if (value === undefined) {
      const names = [...feeds.keys()].map((each) => `'${each}'`).join(', ');
      throw new CompressError('calibration', `the model's input '${name}' is not among the values, which are ${names}`);
    }
    const fits = value.shape.length === shape.length && shape.every((size, at) => size < 0 || size === value.shape[at]);
    if (value.datatype === datatype && fits) return { name, ...value };
    const text = `input '${name}' takes ${datatype} [${shape}], but the values are ${value.datatype} [${value.shape}]`;
    throw new CompressError('calibration', text);
  });
  try {
    const { outputs } = await session.run(tensors);
    return new Map(outputs.map(({ name, datatype, shape, data }) => [name, { datatype, shape, data }]));
  } catch (cause) {
    if (!(cause instanceof RunError)) throw cause;
    throw new CompressError('runner', `the model does not run: ${cause.message}`, { cause });
  }
}

/** Calls `use` with a file that holds `model`, and that is gone afterwards, as is all that was put beside it. */
export async function withTemporaryModel<Result>(
  model: OnnxModel,
  { directory = os.tmpdir() }: Pick<RunnerOptions, 'directory'>,
  use: (file: string) => Promise<Result>,
): Promise<Result> {
  const own = path.join(directory, `tensorgate-compress-${process.pid}-${randomBytes(8).toString('hex')}`);
  await fs.mkdir(own, { mode: 0o700 });
  try {
    const file = path.join(own, 'model.onnx');
    await writeOnnxModel(model, file);
    return await use(file);
  } finally {
    await fs.rm(own, { recursive: true, force: true });
  }
}
