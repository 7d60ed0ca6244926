/** The files of a tokenizer, as Hugging Face's libraries save them. */

import fs from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../error-message.ts';

/** The parts of `tokenizer.json` that are read here; the library reads the rest. */
export interface TokenizerJson {
  readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special?: boolean }[];
  readonly normalizer?: { readonly type?: unknown } | null;
  readonly pre_tokenizer?: { readonly type?: unknown } | null;
  readonly truncation?: { readonly max_length?: unknown; readonly direction?: unknown } | null;
  readonly padding?: { readonly pad_id?: unknown } | null;
}

interface TokenizerFiles {
  /** The path of `tokenizer.json`. */
  readonly file: string;
  readonly json: TokenizerJson;
  /** `tokenizer_config.json`; empty where there is none. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** @throws Error that names the file and what is wrong with it */
export async function readTokenizer(directory: string): Promise<TokenizerFiles> {
  const file = path.join(directory, 'tokenizer.json');
  const json = await readJson(file);
  if (json === undefined) throw new Error(`${file} does not exist: a tokenizer needs it`);
  if (!Array.isArray(json['added_tokens'])) throw new Error(`${file} is no tokenizer: it has no list added_tokens`);
  const config = (await readJson(path.join(directory, 'tokenizer_config.json'))) ?? {};
  return { file, json: json as unknown as TokenizerJson, config };
}

/** `undefined` where there is no such file. @throws Error that names the file */
export async function readJson(file: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const value: unknown = JSON.parse(await fs.readFile(file, 'utf8'));
    if (typeof value !== 'object' || value === null) throw new Error('expected an object');
    return value as Readonly<Record<string, unknown>>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
