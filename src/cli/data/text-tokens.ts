/** Texts of JSON lines as the inputs of a model that takes token ids: the tokenizer step runs in this process. */

import { z } from 'zod';
import { messageOf } from '../../error-message.ts';
import type { ModelSignature } from '../../gateway/repository/signature/model-signature.ts';
import type { Shape } from '../../wire/tensor.ts';
import { RunFailure } from '../../worker/run-failure.ts';
import type { TokenizerOptions } from '../../worker/step-spec.ts';
import { TokenizerStep } from '../../worker/steps/tokenizer.ts';
import { CliError } from '../cli-error.ts';

/** Texts, or pairs of texts, a row each. */
export interface TextRows {
  readonly text: readonly string[];
  readonly text_pair?: readonly string[] | undefined;
}

const texts = z.union([z.string().transform((text) => [text]), z.array(z.string()).min(1)]);
const bareTexts = z.strictObject({ text: texts, text_pair: texts.optional() });
const textInput = z.object({ name: z.enum(['text', 'text_pair']), datatype: z.literal('BYTES'), data: texts });
const restTexts = z.object({ inputs: z.array(textInput).min(1) });

/** The texts of a line, as `{"text": "…"}` or as a request of REST; `undefined` where the line has other inputs, or is no JSON. */
export function textsIn(line: string): TextRows | undefined {
  if (!line.includes('"text"')) return undefined;
  const json = parsed(line);
  const bare = bareTexts.safeParse(json);
  if (bare.success) return bare.data;
  const rest = restTexts.safeParse(json);
  if (!rest.success) return undefined;
  const named = new Map(rest.data.inputs.map(({ name, data }) => [name, data]));
  const text = named.get('text');
  return text === undefined ? undefined : { text, text_pair: named.get('text_pair') };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

export interface TokenRow {
  readonly data: Uint8Array;
  readonly shape: Shape;
}

export class TextTokens {
  readonly #step: TokenizerStep;
  readonly #pair: boolean;
  /** Names of the step's outputs, in order. */
  readonly #names: readonly string[];

  /** @throws CliError where the files of the tokenizer are wrong */
  static async open(directory: string, options: TokenizerOptions): Promise<TextTokens> {
    try {
      return new TextTokens(await TokenizerStep.open(directory, options), options.pair);
    } catch (error) {
      throw new CliError(messageOf(error), { cause: error });
    }
  }

  private constructor(step: TokenizerStep, pair: boolean) {
    this.#step = step;
    this.#pair = pair;
    this.#names = step.describe().outputs.map(({ name }) => name);
  }

  /**
   * The inputs of each row, in the order of the model's inputs. Each text is a row of its own length.
   * @throws CliError where the model takes inputs that a tokenizer does not give, or the tokenizer refuses a text
   */
  rowsOf({ text, text_pair: pairs }: TextRows, where: string, inputs: ModelSignature['inputs']): TokenRow[][] {
    if (this.#pair !== (pairs !== undefined)) {
      const expected = this.#pair ? 'pairs: text and text_pair' : 'text without text_pair';
      throw new CliError(`${where}: expected ${expected}, as the tokenizer of the model takes them`);
    }
    if (pairs !== undefined && pairs.length !== text.length) {
      throw new CliError(`${where}: text_pair has ${pairs.length} texts, expected ${text.length} as text`);
    }
    return text.map((each, row) => {
      const outputs = this.#run(each, pairs?.[row], where);
      return inputs.map(({ name, datatype, default: value }): TokenRow => {
        const output = outputs[this.#names.indexOf(name)];
        if (output === undefined && value !== undefined) return value;
        if (output === undefined || datatype !== 'INT64' || !(output.data instanceof Uint8Array)) {
          const given = this.#names.join(', ');
          throw new CliError(
            `${where}: the model takes '${name}' ${datatype}, and the tokenizer gives ${given} as INT64`,
          );
        }
        return { data: output.data, shape: output.shape };
      });
    });
  }

  #run(text: string, pair: string | undefined, where: string) {
    try {
      const given = [text, ...(pair === undefined ? [] : [pair])];
      return this.#step.run(given.map((each) => ({ shape: [1], data: [each] })));
    } catch (error) {
      if (!(error instanceof RunFailure) || error.outcome.kind !== 'refused') throw error;
      throw new CliError(`${where}: ${error.outcome.message}`, { cause: error });
    }
  }
}
