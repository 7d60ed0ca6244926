/** A code model: a module of the user, whose `infer` answers rows. */

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '../../error-message.ts';
import { CallChannel } from '../call-channel.ts';
import type { ChannelAddress } from '../protocol.ts';
import { outcomeOf, RunFailure } from '../run-failure.ts';
import type { JavascriptOptions } from '../step-spec.ts';
import { callModel } from './code-calls.ts';
import type { Infer, InferContext, Load, ModelContext, Row } from './code-model.ts';
import { outputsOf, rowsOf, threw } from './code-rows.ts';
import { refused, type Step, type StepDescription, type StepInput, type StepOutput } from './step.ts';

/** The `code` of an error that blames the caller. */
const INVALID_INPUT = 'invalid_input';

export class JavascriptStep implements Step {
  readonly #options: JavascriptOptions;
  readonly #infer: Infer;
  readonly #context: ModelContext;
  readonly #calls: CallChannel;

  private constructor(options: JavascriptOptions, infer: Infer, context: ModelContext, calls: CallChannel) {
    this.#options = options;
    this.#infer = infer;
    this.#context = context;
    this.#calls = calls;
  }

  /**
   * Imports the module, and awaits its `load`.
   * @param address of the call channel
   * @throws Error that names the file
   */
  static async open(
    modelPath: string,
    options: JavascriptOptions,
    address: ChannelAddress | undefined,
  ): Promise<JavascriptStep> {
    if (address === undefined) throw new TypeError('a code model without a call channel');
    const directory = path.dirname(modelPath);
    const context = Object.freeze({
      name: path.basename(path.dirname(directory)),
      version: path.basename(directory),
      directory,
      parameters: options.parameters,
    });
    const { load, infer } = await importModule(modelPath);
    if (typeof infer !== 'function') throw new Error(`${modelPath} exports no function infer(rows, context)`);
    if (load !== undefined && typeof load !== 'function') throw new Error(`${modelPath}: load is no function`);
    try {
      await (load as Load | undefined)?.(context);
    } catch (thrown) {
      report(thrown);
      throw new Error(`load of ${modelPath} failed: ${messageOf(thrown)}`);
    }
    const calls = await CallChannel.open(address, options.maxCallBytes);
    return new JavascriptStep(options, infer as Infer, context, calls);
  }

  describe(): StepDescription {
    const { inputs, outputs, isBatched } = this.#options;
    return { inputs, outputs, ...(!isBatched && { unbatched: 'the configuration has no max_batch_size above 0' }) };
  }

  async run(inputs: readonly StepInput[]): Promise<readonly StepOutput[]> {
    const { inputs: tensors, outputs, isBatched } = this.#options;
    const rows = rowsOf(inputs, tensors, isBatched);
    const answers = await this.#answersOf(rows);
    return outputsOf(answers, rows.length, outputs, isBatched);
  }

  close(): void {
    this.#calls.close();
  }

  /** @throws RunFailure */
  async #answersOf(rows: readonly Row[]): Promise<unknown> {
    const calls = this.#calls;
    const context: InferContext = {
      ...this.#context,
      signal: calls.begin(),
      invalidInput,
      infer: (model, inputs, terms) => callModel(calls, model, inputs, terms),
    };
    try {
      return await this.#infer(rows, context);
    } catch (thrown) {
      throw failureOf(thrown);
    } finally {
      calls.end();
    }
  }
}

async function importModule(file: string): Promise<{ load?: unknown; infer?: unknown }> {
  try {
    return await import(pathToFileURL(file).href);
  } catch (thrown) {
    report(thrown);
    throw new Error(`${file} cannot be imported: ${messageOf(thrown)}`);
  }
}

function invalidInput(message: string): Error {
  return Object.assign(new Error(message), { code: INVALID_INPUT });
}

/** The caller is to blame where the error says so, otherwise the code. */
function failureOf(thrown: unknown): RunFailure {
  const message = messageOf(thrown);
  if (isInvalidInput(thrown)) return refused(message);
  const outcome = outcomeOf(thrown);
  if (outcome.kind === 'out_of_memory') return new RunFailure(outcome);
  report(thrown);
  return threw(message);
}

function isInvalidInput(thrown: unknown): boolean {
  return typeof thrown === 'object' && thrown !== null && 'code' in thrown && thrown.code === INVALID_INPUT;
}

/** The gateway logs what a runner prints: operators see where the code failed, and callers do not. */
function report(thrown: unknown): void {
  console.error(thrown);
}
