/** Parts of a text model that a comparison needs besides the ONNX file: its tokenizer, and what follows the model. */

import path from 'node:path';
import { MODEL_CONFIG, type ModelConfig } from '../gateway/repository/config/model-config.ts';
import { stepOf } from '../gateway/repository/config/step-schema.ts';
import { statFile } from '../gateway/repository/disk.ts';
import { nameOfPart } from '../gateway/repository/part-name.ts';
import type { PoolingOptions, StepOptions, TokenizerOptions } from '../worker/step-spec.ts';

export interface TextParts {
  readonly tokenizer: { readonly directory: string; readonly options: TokenizerOptions };
  /** The output that is a vector of each text, or becomes one by pooling; absent where it is not known. */
  readonly vector?: VectorOutput;
  /** Names of the classes of a classifier. */
  readonly labels?: readonly string[];
}

export interface VectorOutput {
  readonly name: string;
  /** From the vectors of tokens to the vector of a text. */
  readonly pooling?: PoolingOptions;
}

/**
 * The parts of a folder as Hugging Face's libraries export it.
 * @param configOf a part's configuration, where the folder has it
 */
export async function readTextParts(
  folder: string,
  directory: string,
  configOf: (part: string) => Promise<ModelConfig | undefined>,
): Promise<TextParts | undefined> {
  const stepAt = async (part: string): Promise<StepOptions | undefined> => {
    const config = await configOf(part);
    return config && stepOf(config);
  };
  const options = await stepAt('tokenizer');
  if (options?.kind !== 'tokenizer') return undefined;
  const tokenizer = { directory, options };
  const chain = await configOf('');
  const steps = chain?.ensemble_scheduling?.step ?? [];
  for (const part of ['pooling', 'labels'] as const) {
    const step = steps.find(({ model_name }) => model_name === nameOfPart(folder, part));
    const of = step && (await stepAt(part));
    if (of?.kind === 'labels') return { tokenizer, labels: of.labels };
    const name = step?.input_map.get('last_hidden_state');
    if (of?.kind === 'pooling' && name !== undefined) return { tokenizer, vector: { name, pooling: of } };
  }
  const [only] = chain?.output ?? [];
  return only === undefined ? { tokenizer } : { tokenizer, vector: { name: only.name } };
}

/** A model with versions has its tokenizer beside the ONNX file, or in its folder. */
export async function tokenizerBeside(...directories: readonly string[]): Promise<TextParts | undefined> {
  const found = await Promise.all(directories.map((each) => statFile(path.join(each, 'tokenizer.json'))));
  const directory = directories.find((_, index) => found[index] !== undefined);
  const options = stepOf(MODEL_CONFIG.parse({ platform: 'tensorgate_tokenizer' }));
  if (directory === undefined || options?.kind !== 'tokenizer') return undefined;
  return { tokenizer: { directory, options } };
}
