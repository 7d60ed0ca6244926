/** A tokenizer in the other direction: token ids to their text, by the decoder of `tokenizer.json`. */

import { messageOf } from '../../error-message.ts';
import { RunFailure } from '../run-failure.ts';
import { decode } from './rust-decoders.ts';
import {
  bytesOf,
  refused,
  type Step,
  type StepDescription,
  type StepInput,
  type StepOutput,
  tensorOf,
} from './step.ts';
import { readTokenizer } from './tokenizer-files.ts';
import { Tokenizer } from './tokenizer-library.ts';

interface Decoder {
  /** By id; an id without a token is a hole. */
  readonly vocabulary: readonly (string | undefined)[];
  readonly special: ReadonlySet<string>;
  join(tokens: readonly string[]): string;
}

export class DetokenizerStep implements Step {
  readonly #directory: string;
  /** Absent before the first run: the vocabulary of a model that no one asks for texts takes no memory. */
  #decoder: Promise<Decoder> | undefined;

  /** @param directory the folder with `tokenizer.json` */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** `input_ids` INT64 [tokens], `skip_special_tokens` BOOL [1], which may be left out -> `text` BYTES [1]. */
  describe(): StepDescription {
    const skips = Buffer.from([1]).toString('base64');
    return {
      inputs: [
        tensorOf('input_ids', 'INT64', ['tokens']),
        { ...tensorOf('skip_special_tokens', 'BOOL', [1]), initializer: { shape: [1], data: skips } },
      ],
      outputs: [tensorOf('text', 'BYTES', [1])],
      unbatched: 'a request has the ids of one text',
    };
  }

  async run([ids, skip]: readonly StepInput[]): Promise<readonly StepOutput[]> {
    if (ids === undefined || skip === undefined) throw new TypeError('expected ids, and a flag');
    const bytes = bytesOf(ids);
    const values = new BigInt64Array(
      bytes.buffer,
      bytes.byteOffset,
      bytes.byteLength / BigInt64Array.BYTES_PER_ELEMENT,
    );
    if (values.length === 0) throw refused("input 'input_ids' holds no id, expected at least one");
    const { vocabulary, special, join } = await this.#opened();
    const tokens = Array.from(values, (id, index) => {
      const token = id >= 0n && id < vocabulary.length ? vocabulary[Number(id)] : undefined;
      if (token !== undefined) return token;
      const range = `from 0 to ${vocabulary.length - 1}`;
      throw refused(`element ${index} of input 'input_ids' is ${id}, expected the id of a token, ${range}`);
    });
    const kept = bytesOf(skip)[0] === 0 ? tokens : tokens.filter((token) => !special.has(token));
    return [{ shape: [1], data: [join(kept)] }];
  }

  /** @throws RunFailure that says what is wrong with the files; the next run reads them again */
  async #opened(): Promise<Decoder> {
    this.#decoder ??= openDecoder(this.#directory);
    try {
      return await this.#decoder;
    } catch (error) {
      this.#decoder = undefined;
      throw new RunFailure({ kind: 'threw', message: `the model's tokenizer cannot be read: ${messageOf(error)}` });
    }
  }
}

/** @throws Error that names the file and what is wrong with it */
async function openDecoder(directory: string): Promise<Decoder> {
  const { file, json, config } = await readTokenizer(directory);
  try {
    const { model, decoder } = new Tokenizer(json, config);
    return {
      vocabulary: model?.vocab ?? [],
      special: new Set(json.added_tokens.filter(({ special }) => special === true).map(({ content }) => content)),
      // The library's own method also cleans up spaces, which the tokenizer in Rust leaves to the decoder.
      join: (tokens) => (decoder === null ? tokens.join(' ') : decode(decoder, tokens).join('')),
    };
  } catch (error) {
    throw new Error(`${file}: ${messageOf(error)}`, { cause: error });
  }
}
