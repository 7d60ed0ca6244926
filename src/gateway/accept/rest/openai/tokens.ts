/** From texts to token ids, and from token ids through the steps behind the tokenizer. */

import type { InferOutput } from '../../../../wire/infer-response.ts';
import type { Shape } from '../../../../wire/tensor.ts';
import { InferError } from '../../../errors.ts';
import type { ChainStep, TextModel } from './text-model.ts';
import { type Tensor, type TextRequests, textTensor } from './text-requests.ts';

/** Values of a tokenizer's outputs for ids that come from the caller. */
const VALUES: ReadonlyMap<string, (ids: readonly number[]) => readonly number[]> = new Map([
  ['input_ids', (ids: readonly number[]) => ids],
  ['attention_mask', (ids) => ids.map(() => 1)],
  ['token_type_ids', (ids) => ids.map(() => 0)],
]);
const IDS = 'input_ids';

/** The tokenizer of a model. @throws InferError `invalid_request` where it has none */
export function tokenizerOf({ name, tokenizer }: TextModel): ChainStep {
  if (tokenizer !== undefined) return tokenizer;
  const text = `model '${name}' has no tokenizer: expected a tensorgate_tokenizer, or an ensemble with one`;
  throw new InferError('invalid_request', text, { field: 'model' });
}

/** The ids of one text, special tokens included; of a pair where the tokenizer takes pairs. */
export async function idsOf(
  { name }: TextModel,
  tokenizer: ChainStep,
  requests: TextRequests,
  texts: readonly string[],
): Promise<BigInt64Array> {
  const inputs = Object.keys(tokenizer.inputs);
  const answer = await requests.ask({
    model: tokenizer.model,
    version: tokenizer.version,
    inputs: texts.map((text, index) => textTensor(inputs[index] ?? 'text', text)),
    outputs: [IDS],
    stepOf: name,
  });
  const data = answer.get(IDS)?.data ?? new Uint8Array(0);
  // A copy: the answer may lie at any offset.
  return new BigInt64Array(Uint8Array.from(data).buffer);
}

/**
 * Asks a model about one text, or one pair of texts.
 * @returns the wanted outputs by name, and the tokens of the texts; 0 where the model has no tokenizer
 * @throws InferError
 */
export async function askTexts(
  model: TextModel,
  requests: TextRequests,
  texts: readonly string[],
  outputs: readonly string[],
): Promise<{ readonly outputs: ReadonlyMap<string, InferOutput>; readonly tokens: number }> {
  const { name, tokenizer } = model;
  const inputs = texts.map((text, index) => textTensor(model.inputs[index] ?? '', text));
  const answer = await requests.askCounted({ model: name, inputs, outputs }, tokenizer?.model);
  if (answer.tokens !== undefined) return { outputs: answer.outputs, tokens: answer.tokens };
  // No step ran where the answer comes out of a cache.
  const ids = tokenizer === undefined ? undefined : await idsOf(model, tokenizer, requests, texts);
  return { outputs: answer.outputs, tokens: ids?.length ?? 0 };
}

/**
 * Runs the steps behind the tokenizer, each as a request of its own.
 * @returns the tensors of the ensemble by name
 * @throws InferError
 */
export async function runFromIds(
  model: TextModel,
  requests: TextRequests,
  ids: readonly number[],
): Promise<ReadonlyMap<string, InferOutput>> {
  const { outputs } = tokenizerOf(model);
  const tensors = new Map<string, Tensor>();
  for (const [output, tensor] of Object.entries(outputs)) {
    const values = VALUES.get(output)?.(ids);
    if (values !== undefined) tensors.set(tensor, idTensor(tensor, values));
  }
  const waiting = new Set(model.rest);
  for (let ready = readyOf(waiting, tensors); ready !== undefined; ready = readyOf(waiting, tensors)) {
    waiting.delete(ready);
    const { model: name, version, inputs, outputs: given } = ready;
    const answer = await requests.ask({
      model: name,
      version,
      inputs: Object.entries(inputs).map(([input, tensor]) => ({ ...(tensors.get(tensor) as Tensor), name: input })),
      outputs: Object.keys(given),
      stepOf: model.name,
    });
    for (const [output, tensor] of Object.entries(given)) {
      const value = answer.get(output);
      if (value !== undefined) tensors.set(tensor, value);
    }
  }
  return tensors;
}

function readyOf(steps: ReadonlySet<ChainStep>, tensors: ReadonlyMap<string, Tensor>): ChainStep | undefined {
  return [...steps].find(({ inputs }) => Object.values(inputs).every((tensor) => tensors.has(tensor)));
}

export function idTensor(name: string, ids: readonly number[], shape: Shape = [1, ids.length]): Tensor {
  const values = BigInt64Array.from(ids, BigInt);
  return { name, datatype: 'INT64', shape, data: new Uint8Array(values.buffer) };
}
