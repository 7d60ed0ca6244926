/** A model that takes texts, as far as its configuration says how to ask it. */

import { InferError } from '../../../errors.ts';
import type { Call } from '../../call.ts';
import type { InferenceApi } from '../../inference-service.ts';
import type { ModelConfigMessage } from '../../messages.ts';

/** `ModelConfig` of a tokenizer (`tensorgate_tokenizer`), or of an ensemble with one. */
const TOKENIZER = 'tensorgate_tokenizer';

export interface ChainStep {
  readonly model: string;
  readonly version: string;
  /** Tensors of the ensemble by input of the step, and by output of the step. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
}

export interface TextModel {
  readonly name: string;
  /** BYTES inputs: one for texts, two for pairs. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Name of the first output of such a type. */
  outputOf(dataType: string): string | undefined;
  /** Absent where the model has none. */
  readonly tokenizer: ChainStep | undefined;
  /** Steps of the ensemble besides the tokenizer. */
  readonly rest: readonly ChainStep[];
}

/** @throws InferError `model_not_found`, `model_not_ready`; `invalid_request` where its inputs are not texts */
export async function findTextModel(api: InferenceApi, name: string, call: Call): Promise<TextModel> {
  await api.activate(name, call);
  const config = api.modelConfig(name, '');
  const inputs = config.input.filter(({ optional }) => optional !== true);
  const other = inputs.find(({ data_type }) => data_type !== 'TYPE_STRING');
  if (other !== undefined) {
    throw new InferError(
      'invalid_request',
      `model '${name}' takes no texts: its input '${other.name}' is ${other.data_type}, expected TYPE_STRING`,
      { field: 'model' },
    );
  }
  const steps = stepsOf(config);
  const tokenizers = steps.filter(({ model, version }) => isTokenizer(api, model, version));
  // Several tokenizers count nothing that is a length of one text.
  const tokenizer = tokenizers.length === 1 ? tokenizers[0] : undefined;
  return {
    name,
    inputs: inputs.map((input) => input.name),
    outputs: config.output.map((output) => output.name),
    outputOf: (dataType) => config.output.find(({ data_type }) => data_type === dataType)?.name,
    tokenizer,
    rest: steps.filter((step) => step !== tokenizer),
  };
}

/** The part of an exported folder that gives token ids, and its sibling that takes them. */
const TOKENIZER_PART = ':tokenizer';
const DETOKENIZER_PART = ':detokenizer';

/**
 * The step that gives the texts of token ids: the model itself, a step of it, or the sibling of its tokenizer.
 * @throws InferError `model_not_found`, `model_not_ready`; `invalid_request` where there is none
 */
export async function findDetokenizer(api: InferenceApi, name: string, call: Call): Promise<ChainStep> {
  await api.activate(name, call);
  const steps = stepsOf(api.modelConfig(name, ''));
  const own = steps.find(({ model, version }) => isDetokenizer(api, model, version));
  if (own !== undefined) return own;
  const beside = steps.find(({ model }) => model.endsWith(TOKENIZER_PART));
  if (beside === undefined) {
    const text = `model '${name}' has no detokenizer: expected a folder of Hugging Face, or a tensorgate_tokenizer with decode`;
    throw new InferError('invalid_request', text, { field: 'model' });
  }
  const model = `${beside.model.slice(0, -TOKENIZER_PART.length)}${DETOKENIZER_PART}`;
  await api.activate(model, call);
  const [sibling] = stepsOf(api.modelConfig(model, ''));
  if (sibling === undefined) throw new TypeError(`model '${model}' has no step`);
  return sibling;
}

/** A model that is no ensemble is its only step. */
function stepsOf({ name, input, output, ensemble_scheduling: ensemble }: ModelConfigMessage): readonly ChainStep[] {
  const same = (tensors: readonly { readonly name: string }[]): Readonly<Record<string, string>> =>
    Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor.name]));
  if (ensemble === undefined) return [{ model: name, version: '', inputs: same(input), outputs: same(output) }];
  return ensemble.step.map(({ model_name: model, model_version: version, input_map, output_map }) => {
    return { model, version: Number(version) === -1 ? '' : String(version), inputs: input_map, outputs: output_map };
  });
}

function isTokenizer(api: InferenceApi, model: string, version: string): boolean {
  const { platform, input } = api.modelConfig(model, version);
  return platform === TOKENIZER && input[0]?.data_type === 'TYPE_STRING';
}

/** A tokenizer in the other direction. */
function isDetokenizer(api: InferenceApi, model: string, version: string): boolean {
  const { platform, input } = api.modelConfig(model, version);
  return platform === TOKENIZER && input[0]?.data_type === 'TYPE_INT64';
}
