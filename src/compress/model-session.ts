/** A model in a runner process of its own: this process loads no native code, and a model may take its process down. */

import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { LoadError, RunnerProcess } from '../gateway/dispatch/runner-process.ts';
import type { Datatype, Shape } from '../wire/tensor.ts';
import { Mailbox } from '../worker/mailbox.ts';
import { aligned, type SessionInfo, type SessionOptions, type TensorPlace } from '../worker/protocol.ts';
import { CompressError } from './compress-error.ts';
import { type OnnxModel, writeOnnxModel } from './onnx/model-file.ts';

/** The value of an input or output. */
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
  /** What its processes see of the environment. */
  readonly env: NodeJS.ProcessEnv;
  /** For the tensors and files that pass between the processes: best on a memory file system. The system's temporary one by default. */
  readonly directory?: string;
  /** That compute one run: 1 by default. */
  readonly threads?: number;
  /** Of one load or run; 120,000 by default. */
  readonly limitMs?: number;
  /** `all` by default. */
  readonly graphOptimizationLevel?: SessionOptions['graphOptimizationLevel'];
  /** Where ONNX Runtime is to write the graph after its fusions. */
  readonly optimizedModelFilePath?: string;
}

const LIMIT_MS = 120_000;
/** Its only one. */
const INSTANCE = 1;

export class ModelSession {
  readonly info: SessionInfo;
  readonly #runner: RunnerProcess;
  readonly #mailbox: Mailbox;
  readonly #limitMs: number;

  private constructor(runner: RunnerProcess, mailbox: Mailbox, info: SessionInfo, limitMs: number) {
    this.#runner = runner;
    this.#mailbox = mailbox;
    this.info = info;
    this.#limitMs = limitMs;
  }

  /**
   * @param model a file, or a model, which is then written to a temporary one.
   * @throws CompressError (`runner`) where ONNX Runtime does not take it.
   */
  static async open(model: string | OnnxModel, options: RunnerOptions): Promise<ModelSession> {
    if (typeof model !== 'string')
      return withTemporaryModel(model, options, (file) => ModelSession.open(file, options));
    const { env, directory = os.tmpdir(), limitMs = LIMIT_MS, threads = 1, optimizedModelFilePath } = options;
    const sessionOptions: SessionOptions = {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: options.graphOptimizationLevel ?? 'all',
      enableCpuMemArena: true,
      enableMemPattern: true,
      ...(optimizedModelFilePath !== undefined && { optimizedModelFilePath }),
      extra: { 'session.intra_op.allow_spinning': '0', 'session.inter_op.allow_spinning': '0' },
    };
    const spec = {
      modelPath: model,
      providers: ['cpu'] as const,
      strictProviders: false,
      deviceId: 0,
      options: sessionOptions,
    };
    const runner = RunnerProcess.start('compress', env);
    let mailbox: Mailbox | undefined;
    try {
      mailbox = Mailbox.create(directory);
      const info = await runner.load(INSTANCE, mailbox.path, spec, limitMs);
      mailbox.unlink();
      return new ModelSession(runner, mailbox, info, limitMs);
    } catch (cause) {
      mailbox?.close();
      runner.kill('the model was not opened');
      await runner.ended;
      if (!(cause instanceof LoadError)) throw cause;
      throw new CompressError('runner', `ONNX Runtime does not open the model: ${cause.message}`, { cause });
    }
  }

  /**
   * One run. One at a time.
   * @returns all outputs.
   * @throws CompressError (`calibration`) where the values do not fit the model, (`runner`) where the run fails.
   */
  async run(feeds: Feeds): Promise<Feeds> {
    const chunks: Uint8Array[] = [];
    const inputs: TensorPlace[] = [];
    let end = 0;
    for (const { name, datatype, shape } of this.info.inputs) {
      const value = feeds.get(name);
      if (value === undefined) {
        const names = [...feeds.keys()].map((each) => `'${each}'`).join(', ');
        throw new CompressError(
          'calibration',
          `the model's input '${name}' is not among the values, which are ${names}`,
        );
      }
      const fits =
        value.shape.length === shape.length && shape.every((size, at) => size < 0 || size === value.shape[at]);
      if (value.datatype !== datatype || !fits) {
        const text = `input '${name}' takes ${datatype} [${shape}], but the values are ${value.datatype} [${value.shape}]`;
        throw new CompressError('calibration', text);
      }
      const offset = aligned(end);
      chunks.push(new Uint8Array(offset - end), value.data);
      end = offset + value.data.byteLength;
      inputs.push({ name, datatype, shape: value.shape, offset, byteLength: value.data.byteLength });
    }
    await this.#mailbox.write(chunks, 0);
    const reply = await this.#runner.run(INSTANCE, { inputs, outputOffset: aligned(end) }, this.#limitMs);
    if (reply.kind === 'ended') throw new CompressError('runner', `the model's process ended: ${reply.cause}`);
    if (reply.kind === 'run-failed') throw new CompressError('runner', `the model did not run: ${reply.message}`);
    const outputs = new Map<string, TensorValue>();
    let reached = end;
    for (const { name, datatype, shape, offset, byteLength } of reply.result.outputs) {
      outputs.set(name, { datatype, shape, data: await this.#mailbox.read(offset, byteLength) });
      reached = Math.max(reached, offset + byteLength);
    }
    this.#mailbox.settle(reached);
    return outputs;
  }

  /** Ends the process, whatever it does. */
  async close(): Promise<void> {
    this.#mailbox.close();
    this.#runner.kill('the session was closed');
    await this.#runner.ended;
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
