/** A model that takes part in a comparison: the base, or a candidate. Its file is open in a runner of its own. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import fs from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { RunError, RunnerSession } from '../compress/runner-session.ts';
import type { InferTensors } from '../gateway/admit/infer-tensors.ts';
import { outputAxes, scatter } from '../gateway/batch/batch.ts';
import type { OutputTensor } from '../gateway/batch/queued-request.ts';
import { reasonOf } from '../gateway/models/trial/failed-run.ts';
import type { RunRows } from '../gateway/models/trial/row-independence.ts';
import { sessionOptions } from '../gateway/repository/config/session-options.ts';
import {
  type ModelSignature,
  neededOutputs,
  resolveSignature,
} from '../gateway/repository/signature/model-signature.ts';
import { readSignatureSources } from '../gateway/repository/signature/signature-sources.ts';
import type { SessionInfo, SessionTensor } from '../worker/protocol.ts';
import type { Target } from './target.ts';

export interface ContenderSource {
  /** `base`, a technique such as `int8`, or the name of a file. */
  readonly name: string;
  readonly kind: 'base' | 'technique' | 'file';
  /** The ONNX file, with its external data beside it. */
  readonly file: string;
  /** All files that belong to it, the ONNX file first. */
  readonly files: readonly string[];
  /** The steps that made it, one line each. */
  readonly steps: readonly string[];
}

/** A candidate does not take, or give, what the base does. */
export class MismatchError extends Error {}

export interface RunnerEnvironment {
  readonly env: NodeJS.ProcessEnv;
  readonly mailboxDirectory: string;
}

export class Contender implements AsyncDisposable {
  readonly source: ContenderSource;
  readonly session: RunnerSession;
  readonly signature: ModelSignature;
  /** SHA-256 of the ONNX file. */
  readonly sha256: string;
  /** Size of all files. */
  readonly bytes: number;
  readonly runRows: RunRows;

  private constructor(
    source: ContenderSource,
    session: RunnerSession,
    signature: ModelSignature,
    file: { readonly sha256: string; readonly bytes: number },
  ) {
    this.source = source;
    this.session = session;
    this.signature = signature;
    this.sha256 = file.sha256;
    this.bytes = file.bytes;
    this.runRows = session.runRows(signature);
  }

  /**
   * @param target whose configuration the candidates share.
   * @throws LoadError where the model does not load, ModelConfigError where the configuration does not fit it
   */
  static async open(
    source: ContenderSource,
    target: Target,
    { env, mailboxDirectory }: RunnerEnvironment,
  ): Promise<Contender> {
    const name = `compress ${target.folder.name} ${source.name}`;
    const session = await RunnerSession.open(source.file, {
      env,
      name,
      mailboxDirectory,
      session: sessionOptions(target.config),
      outputs: neededOutputs(target.config),
      inputs: target.config.input.map(({ name }) => name),
    });
    try {
      const sources = await readSignatureSources(session.info, target.config, {
        directory: target.folder.directory,
        modelPath: source.file,
      });
      const signature = resolveSignature(session.info, target.config, sources);
      const sizes = await Promise.all(source.files.map(async (file) => (await fs.stat(file)).size));
      const bytes = sizes.reduce((sum, size) => sum + size, 0);
      return new Contender(source, session, signature, { sha256: await digestOf(source.file), bytes });
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  get maxRows(): number {
    return this.signature.batching.kind === 'on' ? this.signature.batching.maxRows : 1;
  }

  /**
   * Runs rows at once. @returns the outputs of each row.
   * @throws RunError
   */
  async answer(rows: readonly InferTensors[]): Promise<OutputTensor[][]> {
    const outcome = await this.runRows(rows);
    if (outcome.kind !== 'ok') throw new RunError(reasonOf(outcome));
    const axis = this.signature.batching.kind === 'on' ? 'rows' : 'whole';
    const batch = { requests: rows.map((tensors) => ({ tensors })), rows: rows.length };
    return scatter(batch, outcome.outputs, axis, outputAxes(this.signature.outputs));
  }

  /** Runs rows at once. @returns milliseconds inside ONNX Runtime. @throws RunError */
  async time(rows: readonly InferTensors[]): Promise<number> {
    const outcome = await this.runRows(rows);
    if (outcome.kind !== 'ok') throw new RunError(reasonOf(outcome));
    return outcome.computeMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
  }
}

/** @throws MismatchError where clients of the base could not use the candidate; the text shows both sides. */
export function checkSameInterface(base: SessionInfo, candidate: SessionInfo, name: string): void {
  for (const [kind, wanted, given] of [
    ['input', base.inputs, candidate.inputs],
    ['output', base.outputs, candidate.outputs],
  ] as const) {
    for (const tensor of wanted) {
      const other = given.find((each) => each.name === tensor.name);
      if (other !== undefined && describe(other) === describe(tensor)) continue;
      // Compressing makes a constant of an input with a default: requests that leave it out get the same answers.
      if (other === undefined && tensor.initializer !== undefined) continue;
      const got = other === undefined ? `has ${given.map(describe).join(', ')}` : `has ${describe(other)}`;
      throw new MismatchError(`${name}: the base has the ${kind} ${describe(tensor)}, but this ${got}`);
    }
    const extra = given.find(({ name: own }) => !wanted.some((each) => each.name === own));
    // Extra outputs are never requested.
    if (kind === 'input' && extra !== undefined) {
      throw new MismatchError(`${name}: it takes the input ${describe(extra)}, which the base has not`);
    }
  }
}

function describe({ name, datatype, shape }: SessionTensor): string {
  return `'${name}' ${datatype} [${shape}]`;
}

export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
