/** A code model: a module of the user, whose `infer` answers rows. */

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '../../error-message.ts';
import { CallChannel, FailedCall } from '../call-channel.ts';
import type { ChannelAddress } from '../protocol.ts';
import { outcomeOf, RunFailure } from '../run-failure.ts';
import { PASSED_ON } from '../run-outcome.ts';
import type { JavascriptOptions } from '../step-spec.ts';
import { callModel, encodeAnswer } from './code-calls.ts';
import type { Infer, InferContext, Load, ModelContext, OutputRow, Row, StreamContext } from './code-model.ts';
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
    const { inputs, outputs, isBatched, isDecoupled } = this.#options;
    return {
      inputs,
      outputs,
      isDecoupled,
      ...(!isBatched && { unbatched: 'the configuration has no max_batch_size above 0' }),
    };
  }

  async run(inputs: readonly StepInput[]): Promise<readonly StepOutput[]> {
    const { inputs: tensors, outputs, isBatched, isDecoupled } = this.#options;
    const rows = rowsOf(inputs, tensors, isBatched);
    const answers = await this.#answersOf(rows);
    return isDecoupled ? [] : outputsOf(answers, rows.length, outputs, isBatched);
  }

  close(): void {
    this.#calls.close();
  }

  /** Sends an answer of a decoupled model. @throws RunFailure where it is no such answer, or an Error where no one takes it */
  #send(row: OutputRow): Promise<void> {
    const { outputs } = this.#options;
    const given = outputsOf([row], 1, outputs, false);
    return this.#calls.send(encodeAnswer(outputs, given));
  }

  /** @throws RunFailure */
  async #answersOf(rows: readonly Row[]): Promise<unknown> {
    const calls = this.#calls;
    const send = (row: OutputRow): Promise<void> => this.#send(row);
    const signal = calls.begin();
    const context: InferContext & Partial<Pick<StreamContext, 'send'>> = {
      ...this.#context,
      ...(this.#options.isDecoupled && { send }),
      signal,
      invalidInput,
      infer: (model, inputs, terms) => callModel(calls, model, inputs, terms),
    };
    try {
      const answers = await this.#infer(rows, context);
      if (!this.#options.isDecoupled) return answers;
      // A generator, or an array; nothing where the code has called `send`. The loop ends a generator when an answer is not taken.
      for await (const row of answersIn(answers)) await send(row);
      return [];
    } catch (thrown) {
      const failure = failureOf(thrown);
      // Code that stops because its caller is gone has no fault.
      if (failure !== thrown && isFault(failure) && !signal.aborted) report(thrown);
      throw failure;
    } finally {
      calls.end();
    }
  }
}

/** @throws RunFailure where they are no answers */
function answersIn(answers: unknown): Iterable<OutputRow> | AsyncIterable<OutputRow> {
  if (answers === undefined) return [];
  const isObject = typeof answers === 'object' && answers !== null;
  if (isObject && (Symbol.asyncIterator in answers || Symbol.iterator in answers)) return answers as never;
  throw threw('infer of a decoupled model gave neither a generator nor an array nor undefined');
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
  if (thrown instanceof RunFailure) return thrown;
  const message = messageOf(thrown);
  if (isInvalidInput(thrown)) return refused(message);
  const outcome = outcomeOf(thrown);
  if (outcome.kind === 'out_of_memory') return new RunFailure(outcome);
  const reason = thrown instanceof FailedCall ? PASSED_ON.find((each) => each === thrown.reason) : undefined;
  return reason === undefined ? threw(message) : new RunFailure({ kind: 'threw', message, reason });
}

function isFault({ outcome }: RunFailure): boolean {
  return outcome.kind === 'threw' && outcome.reason === undefined;
}

function isInvalidInput(thrown: unknown): boolean {
  return typeof thrown === 'object' && thrown !== null && 'code' in thrown && thrown.code === INVALID_INPUT;
}

/** The gateway logs what a runner prints: operators see where the code failed, and callers do not. */
function report(thrown: unknown): void {
  console.error(thrown);
}
