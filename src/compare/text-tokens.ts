/** Texts of JSON lines as the inputs of a model that takes token ids: the tokenizer step runs in this process. */

import { messageOf } from '../error-message.ts';
import type { ModelSignature } from '../gateway/repository/signature/model-signature.ts';
import type { Shape } from '../wire/tensor.ts';
import { RunFailure } from '../worker/run-failure.ts';
import type { TokenizerOptions } from '../worker/step-spec.ts';
import { TokenizerStep } from '../worker/steps/tokenizer.ts';
import { DataError } from './sample.ts';

/** Texts, or pairs of texts, a row each. */
export interface TextRows {
  readonly text: readonly string[];
  readonly text_pair?: readonly string[] | undefined;
}

/** The texts of a line, as `{"text": "…"}` or as a request of REST; `undefined` where the line has other inputs, or is no JSON. */
export function textsIn(line: string): TextRows | undefined {
  if (!line.includes('"text"')) return undefined;
  const json = parsed(line);
  if (!isObject(json)) return undefined;
  const inputs: unknown = json['inputs'];
  const given = Array.isArray(inputs) ? namedIn(inputs) : json;
  const [text, pair] = [textsOf(given['text']), textsOf(given['text_pair'])];
  const isKnown = Object.keys(given).every((name) => name === 'text' || name === 'text_pair');
  if (text === undefined || !isKnown || (pair === undefined && 'text_pair' in given)) return undefined;
  return { text, text_pair: pair };
}

/** The data of inputs by their names. */
function namedIn(inputs: readonly unknown[]): Readonly<Record<string, unknown>> {
  const entries = inputs.filter(isObject).map(({ name, datatype, data }): [string, unknown] => {
    return [String(name), datatype === 'BYTES' ? data : undefined];
  });
  return Object.fromEntries(entries);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textsOf(value: unknown): readonly string[] | undefined {
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value) || value.length === 0) return undefined;
  return value.every((each) => typeof each === 'string') ? value : undefined;
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

  /** @throws DataError where the files of the tokenizer are wrong */
  static async open(directory: string, options: TokenizerOptions): Promise<TextTokens> {
    try {
      return new TextTokens(await TokenizerStep.open(directory, options), options.pair);
    } catch (error) {
      throw new DataError(messageOf(error), { cause: error });
    }
  }

  private constructor(step: TokenizerStep, pair: boolean) {
    this.#step = step;
    this.#pair = pair;
    this.#names = step.describe().outputs.map(({ name }) => name);
  }

  /**
   * The inputs of each row, in the order of the model's inputs. Each text is a row of its own length.
   * @throws DataError where the model takes inputs that a tokenizer does not give, or the tokenizer refuses a text
   */
  rowsOf({ text, text_pair: pairs }: TextRows, where: string, inputs: ModelSignature['inputs']): TokenRow[][] {
    if (this.#pair !== (pairs !== undefined)) {
      const expected = this.#pair ? 'pairs: text and text_pair' : 'text without text_pair';
      throw new DataError(`${where}: expected ${expected}, as the tokenizer of the model takes them`);
    }
    if (pairs !== undefined && pairs.length !== text.length) {
      throw new DataError(`${where}: text_pair has ${pairs.length} texts, expected ${text.length} as text`);
    }
    return text.map((each, row) => {
      const outputs = this.#run(each, pairs?.[row], where);
      return inputs.map(({ name, datatype, default: value }): TokenRow => {
        const output = outputs[this.#names.indexOf(name)];
        if (output === undefined && value !== undefined) return value;
        if (output === undefined || datatype !== 'INT64' || !(output.data instanceof Uint8Array)) {
          const given = this.#names.join(', ');
          throw new DataError(
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
      throw new DataError(`${where}: ${error.outcome.message}`, { cause: error });
    }
  }
}
