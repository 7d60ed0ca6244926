/**
 * Decoders of `tokenizer.json` as Hugging Face's tokenizers in Rust have them. The library in JavaScript differs for bytes that are not
 * UTF-8, for spaces at the start, and for added tokens.
 */

import type { Decoder } from './tokenizer-library.ts';

/** The tokens of a text become its parts. @throws Error for a decoder that the library does not know */
export function decode(decoder: Decoder, tokens: readonly string[]): readonly string[] {
  const { config, decoders = [], byte_decoder: bytes = {} } = decoder;
  switch (config.type) {
    case 'Sequence':
      return decoders.reduce((parts, each) => decode(each, parts), tokens);
    case 'ByteLevel':
      return [LOSSY.decode(Buffer.concat(tokens.map((token) => bytesOf(token, bytes))))];
    case 'ByteFallback':
      return joinBytes(tokens);
    case 'Metaspace':
      return tokens.map((token, at) => withSpaces(token, at === 0, config));
    default:
      return decoder.decode_chain(tokens);
  }
}

const LOSSY = new TextDecoder('utf-8', { ignoreBOM: true });
const STRICT = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const REPLACEMENT = '\ufffd';

/** A token stands for bytes where each of its characters does. */
function bytesOf(token: string, bytes: Readonly<Record<string, number>>): Uint8Array {
  const values = Array.from(token, (character) => (Object.hasOwn(bytes, character) ? bytes[character] : undefined));
  return values.every((value) => value !== undefined) ? Uint8Array.from(values) : Buffer.from(token);
}

const BYTE_TOKEN = /^<0x(?<digits>[0-9A-Fa-f]{2})>$/;

/** Tokens such as `<0xE2>` become characters; where they are no UTF-8, each becomes a mark. */
function joinBytes(tokens: readonly string[]): readonly string[] {
  const parts: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length > 0) parts.push(textOf(Uint8Array.from(run)));
    run = [];
  };
  for (const token of tokens) {
    const digits = BYTE_TOKEN.exec(token)?.groups?.['digits'];
    if (digits !== undefined) {
      run.push(Number.parseInt(digits, 16));
      continue;
    }
    flush();
    parts.push(token);
  }
  flush();
  return parts;
}

function textOf(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch {
    return REPLACEMENT.repeat(bytes.length);
  }
}

/** The marks of spaces become spaces; at the start of a text they are dropped, unless the tokenizer adds none there. */
function withSpaces(token: string, isFirst: boolean, config: Decoder['config']): string {
  const { replacement = '\u2581', prepend_scheme: scheme, add_prefix_space: adds } = config;
  const keeps = scheme === undefined ? adds === false : scheme === 'never';
  return token.replaceAll(replacement, isFirst && !keeps ? '' : ' ');
}
