/** The parts of `@huggingface/tokenizers` that are used, with types: its own cannot be resolved without a bundler. */

import * as library from '@huggingface/tokenizers';

export interface Tokenizer {
  normalizer: Normalizer | null;
  pre_tokenizer: object | null;
  readonly model: {
    readonly unk_token_id?: number | undefined;
    /** By id; an id without a token is a hole. */
    readonly vocab: readonly (string | undefined)[];
  } | null;
  readonly decoder: Decoder | null;
  readonly post_processor: {
    post_process(
      tokens: readonly string[],
      pair: readonly string[] | null,
      addSpecialTokens: boolean,
    ): { readonly tokens: readonly string[]; readonly token_type_ids?: readonly number[] | undefined };
  } | null;
  tokenize(text: string, options: { readonly add_special_tokens: boolean }): string[];
  token_to_id(token: string): number | undefined;
}

export interface Decoder {
  readonly config: {
    readonly type?: string;
    readonly replacement?: string;
    readonly prepend_scheme?: string;
    readonly add_prefix_space?: boolean;
  };
  /** Only a `Sequence` has them. */
  readonly decoders?: readonly Decoder[];
  /** Bytes by character; only `ByteLevel` has them. */
  readonly byte_decoder?: Readonly<Record<string, number>>;
  decode_chain(tokens: readonly string[]): string[];
}

interface Normalizer {
  readonly config: BertNormalizerConfig;
}

interface BertNormalizerConfig {
  readonly clean_text?: boolean;
  readonly handle_chinese_chars?: boolean;
  readonly lowercase?: boolean;
  readonly strip_accents?: boolean | null;
}

interface TokenizerLibrary {
  /** @throws Error where the files are not a tokenizer's */
  readonly Tokenizer: new (
    json: object,
    config: object,
  ) => Tokenizer;
  readonly BertNormalizer: new (
    config: BertNormalizerConfig,
  ) => { readonly config: BertNormalizerConfig; normalize(text: string): string };
  readonly BertPreTokenizer: new () => { pre_tokenize_text(text: string): string[] };
}

export const { Tokenizer, BertNormalizer, BertPreTokenizer } = library as unknown as TokenizerLibrary;
