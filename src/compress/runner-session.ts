/**
 * Opens one ONNX file in its own runner process and runs it with named tensors, for tools that do not serve models. A model that
 * crashes takes down only its process.
 */

import { type InferTensors, UNIT_ROW } from '../gateway/admit/infer-tensors.ts';
import type { OutputTensor } from '../gateway/batch/queued-request.ts';
import { InstanceGroup, type Signature } from '../gateway/dispatch/instance-group.ts';
import { processMemory } from '../gateway/dispatch/process-memory.ts';
import { LoadError, RunnerProcess } from '../gateway/dispatch/runner-process.ts';
import { reasonOf } from '../gateway/models/trial/failed-run.ts';
import type { RunRows } from '../gateway/models/trial/row-independence.ts';
import { MODEL_CONFIG } from '../gateway/repository/config/model-config.ts';
import { sessionOptions } from '../gateway/repository/config/session-options.ts';
import type { ModelSignature } from '../gateway/repository/signature/model-signature.ts';
import type { TensorSpec } from '../wire/tensor.ts';
import { ANY_OUTPUT_BYTES, type SessionInfo, type SessionOptions } from '../worker/protocol.ts';
import type { RunOutcome } from '../worker/run-outcome.ts';

/** A whole tensor with its values: row-major, little-endian, as in `raw_input_contents`. */
export interface NamedTensor extends TensorSpec {
  readonly data: Uint8Array;
}

export interface RunnerSessionOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Name of the process, in process lists and messages. */
  readonly name: string;
  /** Preferably on a memory file system. */
  readonly mailboxDirectory: string;
  /** Over what a model without a configuration gets. */
  readonly session?: Partial<SessionOptions>;
  /** The only outputs to compute; all of them where absent. */
  readonly outputs?: readonly string[] | undefined;
  /** Inputs that a configuration names. */
  readonly inputs?: readonly string[];
  /** A load that takes longer is a failure, and so is a run; in milliseconds. */
  readonly limitMs?: number;
}

export interface RunnerAnswer {
  readonly outputs: readonly OutputTensor[];
  /** Inside ONNX Runtime, in milliseconds. */
  readonly computeMs: number;
}

/** A run gave no outputs; the text is ONNX Runtime's reason, or how the process ended. */
export class RunError extends Error {}

const LIMIT_MS = 120_000;

export class RunnerSession implements AsyncDisposable {
  readonly info: SessionInfo;
  /** Time from the load order to the open session, in milliseconds, without the start of the process. */
  readonly loadMs: number;
  readonly #runner: RunnerProcess;
  readonly #group: InstanceGroup;
  readonly #limitMs: number;

  private constructor(runner: RunnerProcess, group: InstanceGroup, loadMs: number, limitMs: number) {
    this.info = group.info;
    this.loadMs = loadMs;
    this.#runner = runner;
    this.#group = group;
    this.#limitMs = limitMs;
  }

  /** @throws LoadError where the model does not load. */
  static async open(modelPath: string, options: RunnerSessionOptions): Promise<RunnerSession> {
    const { env, name, mailboxDirectory, session = {}, outputs, inputs = [], limitMs = LIMIT_MS } = options;
    const runner = RunnerProcess.start(name, env);
    const spec = {
      modelPath,
      providers: ['cpu'],
      strictProviders: false,
      deviceId: 0,
      options: { ...sessionOptions(MODEL_CONFIG.parse({})), ...session },
      inputs,
      ...(outputs && { outputs }),
    } as const;
    const group = new InstanceGroup({
      model: { name, version: '' },
      specs: [spec],
      mailboxDirectory,
      loadLimitMs: limitMs,
      maxOutputBytes: ANY_OUTPUT_BYTES,
      onIdle: () => {},
      onOutage: () => {},
    });
    try {
      const started = performance.now();
      await group.load(runner);
      return new RunnerSession(runner, group, performance.now() - started, limitMs);
    } catch (error) {
      runner.kill('the model does not load');
      await runner.ended;
      throw error instanceof LoadError ? new LoadError(error.reason) : error;
    }
  }

  /** Bytes that the process holds. */
  async memory(): Promise<number> {
    const { pid } = this.#runner;
    return pid === undefined ? 0 : ((await processMemory(pid)) ?? 0);
  }

  /**
   * One run, past all batching. One at a time.
   * @param tensors every input of the model that has no default, in any order.
   * @throws RunError
   */
  async run(tensors: readonly NamedTensor[]): Promise<RunnerAnswer> {
    const { inputs } = this.info;
    const given = inputs.map(({ name, initializer: otherwise }) => {
      const tensor = tensors.find((each) => each.name === name);
      if (tensor === undefined && otherwise !== undefined) {
        return { shape: otherwise.shape, data: Buffer.from(otherwise.data, 'base64') };
      }
      if (tensor === undefined) throw new RunError(`no values for input '${name}'`);
      return tensor;
    });
    const request: InferTensors = {
      rows: 1,
      bytes: given.reduce((sum, { data }) => sum + data.byteLength, 0),
      size: UNIT_ROW,
      bucket: '',
      inputs: given.map(({ data }) => data),
      shapes: given.map(({ shape }) => shape),
    };
    const outcome = await this.#run([request], { inputs, axis: 'whole' });
    if (outcome.kind === 'ok') return outcome;
    throw new RunError(reasonOf(outcome));
  }

  /** Runs rows as one batch, as a server does that knows the model by `signature`. */
  runRows({ inputs, outputs, batching }: ModelSignature): RunRows {
    const axis = batching.kind === 'on' ? 'rows' : 'whole';
    return (rows) => this.#run(rows, { inputs, outputs, axis });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#runner.kill('the work is done');
    await this.#runner.ended;
  }

  #run(requests: readonly InferTensors[], signature: Signature): Promise<RunOutcome> {
    const load = { requests: requests.map((tensors) => ({ tensors })), rows: requests.length };
    return this.#group.run(load, signature, { maxMs: this.#limitMs });
  }
}
