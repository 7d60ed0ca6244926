/**
 * BERT's normalization and splitting of texts, as Hugging Face's tokenizers in Rust do them. The library's own differ in Greek
 * capitals, in ideographs beyond the basic plane, and in characters that Unicode has only since version 9.
 */

import { BertNormalizer, BertPreTokenizer, type Tokenizer } from './tokenizer-library.ts';
import { SINCE_UNICODE_9 } from './unicode-8.ts';

const IDEOGRAPHS =
  /[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;
const REMOVED = new RegExp(`[\\0\\ufffd[[\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}]--[\\t\\n\\r${SINCE_UNICODE_9}]]]`, 'gv');
const SPACE = /\s/g;
/** Marks of then that Unicode counts otherwise now, and the reverse. */
const ACCENTS = new RegExp(`[[\\p{Mn}\\u{1734}\\u{1171e}]--[\\u{111c9}${SINCE_UNICODE_9}]]`, 'gv');
const PUNCTUATION = `[[\\p{P}!-\\/:-@\\[-\`\\{-~\\u{166d}\\u{111c9}]--[${SINCE_UNICODE_9}]]`;
const SPACES = '[[\\s\\u{85}]--[\\u{feff}]]';
const WORDS = new RegExp(`[^${SPACES}${PUNCTUATION}]+|${PUNCTUATION}`, 'gv');

class RustNormalizer extends BertNormalizer {
  override normalize(text: string): string {
    const { clean_text, handle_chinese_chars, lowercase, strip_accents } = this.config;
    let normal = text;
    if (clean_text) normal = normal.replace(REMOVED, '').replace(SPACE, ' ');
    if (handle_chinese_chars) normal = normal.replace(IDEOGRAPHS, ' $& ');
    if (strip_accents ?? lowercase) normal = normal.normalize('NFD').replace(ACCENTS, '');
    // Rust lowers each letter by itself: a sigma at the end of a word is one like others.
    return lowercase ? normal.replaceAll('Σ', 'σ').toLowerCase() : normal;
  }
}

class RustPreTokenizer extends BertPreTokenizer {
  override pre_tokenize_text(text: string): string[] {
    return text.match(WORDS) ?? [];
  }
}

/** Replaces those parts of a tokenizer that are BERT's. @param json of `tokenizer.json` */
export function useRustRules(
  tokenizer: Tokenizer,
  json: {
    readonly normalizer?: { readonly type?: unknown } | null;
    readonly pre_tokenizer?: { readonly type?: unknown } | null;
  },
): void {
  if (json.normalizer?.type === 'BertNormalizer' && tokenizer.normalizer !== null) {
    tokenizer.normalizer = new RustNormalizer(tokenizer.normalizer.config);
  }
  if (json.pre_tokenizer?.type === 'BertPreTokenizer') tokenizer.pre_tokenizer = new RustPreTokenizer();
}
