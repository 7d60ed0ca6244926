/** A tokenizer: texts to token ids, by the files that Hugging Face's libraries save. */

import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import type { TokenizerOptions } from '../step-spec.ts';
import { useRustRules } from './bert-text.ts';
import {
  bytesOfArray,
  refused,
  type Step,
  type StepDescription,
  type StepInput,
  type StepOutput,
  tensorOf,
  textsOf,
} from './step.ts';
import { readJson, readTokenizer, type TokenizerJson } from './tokenizer-files.ts';
import { Tokenizer } from './tokenizer-library.ts';
import { keptOfPair } from './truncation.ts';

/** Without a file that says more, a text has at most so many tokens: the positions of BERT. */
const USUAL_LENGTH = 512;
/** Libraries write such a number where a tokenizer has no limit. */
const NO_LIMIT = 1e9;

interface Row {
  readonly ids: readonly number[];
  readonly types: readonly number[];
}

export class TokenizerStep implements Step {
  readonly #options: TokenizerOptions;
  readonly #tokenizer: Tokenizer;
  /** Ids of special tokens, which the tokenizer does not know where they are no part of texts. */
  readonly #special: ReadonlyMap<string, number>;
  readonly #unknownId: number;
  readonly #padId: number;
  readonly #most: number;
  readonly #mostFrom: string;
  readonly #cutsStart: boolean;
  /** Special tokens that are put around a text, or a pair. */
  readonly #around: number;

  /** Reads the files of a folder. @throws Error that names the file and what is wrong with it */
  static async open(directory: string, options: TokenizerOptions): Promise<TokenizerStep> {
    const { file, json, config } = await readTokenizer(directory);
    const sentences = (await readJson(path.join(directory, 'sentence_bert_config.json'))) ?? {};
    const limits: readonly (readonly [unknown, string])[] = [
      [options.maxLength, 'tensorgate.tokenizer.max_length'],
      [sentences['max_seq_length'], 'sentence_bert_config.json'],
      [config['model_max_length'], 'tokenizer_config.json'],
      [json.truncation?.max_length, 'tokenizer.json'],
    ];
    const isLimit = (value: unknown): value is number =>
      Number.isInteger(value) && (value as number) > 0 && (value as number) < NO_LIMIT;
    const [most, from] = limits.find(([value]) => isLimit(value)) ?? [USUAL_LENGTH, 'the default'];
    try {
      return new TokenizerStep(json, config, options, { most: most as number, from });
    } catch (error) {
      throw new Error(`${file}: ${messageOf(error)}`, { cause: error });
    }
  }

  private constructor(
    json: TokenizerJson,
    config: Readonly<Record<string, unknown>>,
    options: TokenizerOptions,
    { most, from }: { readonly most: number; readonly from: string },
  ) {
    const isSpecial = ({ special }: TokenizerJson['added_tokens'][number]): boolean => special === true;
    const known = options.specialTokensInText
      ? json.added_tokens
      : json.added_tokens.filter((token) => !isSpecial(token));
    this.#options = options;
    this.#tokenizer = new Tokenizer({ ...json, added_tokens: known }, config);
    useRustRules(this.#tokenizer, json);
    this.#special = new Map(json.added_tokens.filter(isSpecial).map(({ content, id }) => [content, id]));
    this.#unknownId = this.#tokenizer.model?.unk_token_id ?? 0;
    const { pad_token: pad } = config;
    const padText = typeof pad === 'object' && pad !== null && 'content' in pad ? pad.content : pad;
    const saved = json.padding?.pad_id;
    this.#padId =
      (typeof padText === 'string' ? this.#idOf(padText) : undefined) ?? (typeof saved === 'number' ? saved : 0);
    this.#most = most;
    this.#mostFrom = from;
    this.#cutsStart =
      (config['truncation_side'] ?? json.truncation?.direction ?? 'right').toString().toLowerCase() === 'left';
    this.#around = this.#finish([], options.pair ? [] : undefined).ids.length;
    if (this.#around >= most) {
      throw new Error(`max_length is ${most}, and the special tokens of a row are ${this.#around}: expected more`);
    }
  }

  /** `text` BYTES [texts] (and `text_pair` alike) -> `input_ids`, `attention_mask`, `token_type_ids` INT64 [texts, length]. */
  describe(): StepDescription {
    const { pair, maxTextBytes } = this.#options;
    const names = pair ? ['text', 'text_pair'] : ['text'];
    const elements = { maxBytes: maxTextBytes, setting: 'max_text_bytes', isBinary: false };
    return {
      inputs: names.map((name) => tensorOf(name, 'BYTES', ['batch'], elements)),
      outputs: ['input_ids', 'attention_mask', 'token_type_ids'].map((name) =>
        tensorOf(name, 'INT64', ['batch', 'length']),
      ),
      hasRowLengths: true,
      notes: [`at most ${this.#most} tokens a row, by ${this.#mostFrom}; padding has the id ${this.#padId}`],
    };
  }

  run([texts, pairs]: readonly StepInput[]): readonly StepOutput[] {
    if (texts === undefined) throw new TypeError('expected texts');
    const first = textsOf(texts);
    const second = pairs === undefined ? undefined : textsOf(pairs);
    if (first.length === 0) throw refused("input 'text' holds no text, expected at least one");
    if (second !== undefined && second.length !== first.length) {
      throw refused(`input 'text_pair' holds ${second.length} texts, expected ${first.length} as 'text'`);
    }
    const rows = first.map((text, index) => this.#encode(text, second?.[index], index));
    const length = rows.reduce((most, { ids }) => Math.max(most, ids.length), 0);
    const shape = [rows.length, length];
    // An INT64 is two words: the second stays 0.
    const [ids, mask, types] = [0, 1, 2].map(() => new Int32Array(rows.length * length * 2)) as [
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    for (const [row, encoded] of rows.entries()) {
      for (let token = 0; token < length; token++) {
        const at = (row * length + token) * 2;
        const isToken = token < encoded.ids.length;
        ids[at] = isToken ? (encoded.ids[token] as number) : this.#padId;
        mask[at] = isToken ? 1 : 0;
        types[at] = isToken ? (encoded.types[token] as number) : 0;
      }
    }
    const rowLengths = rows.map((row) => row.ids.length);
    return [ids, mask, types].map((values) => ({ shape, data: bytesOfArray(values), rowLengths }));
  }

  #encode(text: string, pair: string | undefined, index: number): Row {
    const first = this.#tokensOf(text);
    const second = pair === undefined ? undefined : this.#tokensOf(pair);
    const room = this.#most - this.#around;
    const count = first.length + (second?.length ?? 0);
    if (count > room && this.#options.truncation === 'refuse') {
      throw refused(
        `element ${index} of input 'text' has ${count + this.#around} tokens, expected at most ${this.#most} (${this.#mostFrom})`,
      );
    }
    const [ofFirst, ofSecond] = keptOfPair(
      first.length,
      second?.length ?? 0,
      second === undefined ? Math.max(room, 0) : room,
    );
    const row =
      second === undefined
        ? this.#finish(this.#cut(first, room))
        : this.#finish(this.#cut(first, ofFirst), this.#cut(second, ofSecond));
    if (row.ids.length === 0)
      throw refused(`element ${index} of input 'text' gives no token: expected a text with at least one`);
    return row;
  }

  #tokensOf(text: string): string[] {
    return this.#tokenizer.tokenize(text, { add_special_tokens: false });
  }

  #cut(tokens: string[], most: number): string[] {
    if (tokens.length <= most) return tokens;
    return this.#cutsStart ? tokens.slice(tokens.length - most) : tokens.slice(0, most);
  }

  /** Puts the special tokens around. */
  #finish(first: string[], second?: string[]): Row {
    const post = this.#tokenizer.post_processor;
    const { tokens, token_type_ids: types } = post?.post_process(first, second ?? null, true) ?? { tokens: first };
    // Byte-level processors return the second text as it is.
    const all = second !== undefined && types === undefined ? [...first, ...second] : tokens;
    const ids = all.map((token) => this.#idOf(token) ?? this.#unknownId);
    return { ids, types: types ?? all.map((_, at) => (at < first.length ? 0 : 1)) };
  }

  #idOf(token: string): number | undefined {
    return this.#special.get(token) ?? this.#tokenizer.token_to_id(token);
  }
}
