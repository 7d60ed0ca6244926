/**
 * `/invocations` of Amazon SageMaker. The body has one of these shapes: `inputs` of the Open Inference Protocol, texts in `inputs` or
 * `query` and `texts` (Text Embeddings Inference), `input` (OpenAI), or `instances` (TensorFlow Serving).
 */

import { decodeBytesTensor } from '../../../../wire/bytes-tensor.ts';
import type { InferOutput } from '../../../../wire/infer-response.ts';
import { elementCount } from '../../../../wire/tensor.ts';
import { InferError } from '../../../errors.ts';
import type { ControlApi } from '../../control-service.ts';
import type { InferenceApi } from '../../inference-service.ts';
import { hasValue, type JsonObject } from '../json-field.ts';
import { embeddings } from '../openai/embeddings.ts';
import { textAt, textsAt } from '../openai/text-input.ts';
import { findTextModel } from '../openai/text-model.ts';
import { TextRequests } from '../openai/text-requests.ts';
import { askTexts } from '../openai/tokens.ts';
import { ok, type RestAnswer, type RestContext } from '../rest-route.ts';
import { predictWith } from './predict.ts';
import { hasTensors, inferTensors } from './protocol-request.ts';
import { servedModel } from './served-model.ts';

const TARGET = 'x-amzn-sagemaker-target-model';
/** The name of the file of a model, in a multi-model endpoint. */
const ARCHIVE = /\.tar\.gz$/;

/** @throws InferError */
export async function invoke(
  api: InferenceApi,
  control: Pick<ControlApi, 'repositoryIndex'>,
  body: JsonObject,
  context: RestContext,
): Promise<RestAnswer> {
  const target = context.call.get(TARGET);
  const own = typeof body['model'] === 'string' ? body['model'] : undefined;
  const named = typeof target === 'string' && target !== '' ? target.replace(ARCHIVE, '') : own;
  const model = await servedModel(control, named, `the header ${TARGET}, or in 'model'`);
  if (hasValue(body['instances'])) return predictWith(api, model, body['instances'], context);
  if (hasValue(body['input'])) return embeddings(api, { ...body, model }, context);
  if (hasValue(body['texts'])) return rank(api, model, body, context);
  if (hasTensors(body)) return inferTensors(api, model, body, context);
  if (hasValue(body['inputs'])) return answerTexts(api, model, body['inputs'], context);
  const text = "the body has none of 'inputs', 'texts', 'input' and 'instances': expected texts, or rows of tensors";
  throw new InferError('invalid_request', text, { field: 'inputs' });
}

/** Vectors of an encoder; of a classifier, the classes of each text, the likeliest first. A text by itself is a list of one vector. */
async function answerTexts(
  api: InferenceApi,
  name: string,
  inputs: unknown,
  { call, charge }: RestContext,
): Promise<RestAnswer> {
  const texts = Array.isArray(inputs) ? textsAt(inputs, 'inputs') : [textAt(inputs, 'inputs')];
  const requests = new TextRequests(api, call);
  const model = await findTextModel(api, name, call);
  const [label, value] = [model.outputOf('TYPE_STRING'), model.outputOf('TYPE_FP32')];
  if (value === undefined || model.inputs.length !== 1) {
    throw new InferError('invalid_request', `model '${name}' gives neither vectors nor classes of texts`, {
      field: 'model',
    });
  }
  const wanted = label === undefined ? [value] : [label, value];
  const answers = await requests.each(texts, async (text) => {
    const { outputs } = await askTexts(model, requests, [text], wanted);
    const numbers = floatsOf(outputs.get(value));
    charge.take(numbers.byteLength);
    if (label === undefined) return [...numbers].map(shortest);
    return textsOf(outputs.get(label)).map((each, at) => ({ label: each, score: shortest(numbers[at] ?? Number.NaN) }));
  });
  return ok(label !== undefined && !Array.isArray(inputs) ? answers[0] : answers);
}

/** `{index, score}` of each text, the best first. */
async function rank(api: InferenceApi, name: string, body: JsonObject, { call }: RestContext): Promise<RestAnswer> {
  const query = textAt(body['query'], 'query');
  const texts = textsAt(body['texts'], 'texts');
  const requests = new TextRequests(api, call);
  const model = await findTextModel(api, name, call);
  const score = model.outputOf('TYPE_FP32');
  if (score === undefined || model.inputs.length !== 2) {
    throw new InferError('invalid_request', `model '${name}' reranks nothing: expected two inputs of texts`, {
      field: 'model',
    });
  }
  const scored = await requests.each(texts, async (text, index) => {
    const { outputs } = await askTexts(model, requests, [query, text], [score]);
    return { index, score: shortest(floatsOf(outputs.get(score))[0] ?? Number.NaN) };
  });
  return ok(scored.toSorted((a, b) => b.score - a.score || a.index - b.index));
}

/** A copy: the answer may lie at any offset. */
function floatsOf(output: InferOutput | undefined): Float32Array {
  return new Float32Array(Uint8Array.from(output?.data ?? []).buffer);
}

function textsOf(
  { data, shape }: Pick<InferOutput, 'data' | 'shape'> = { data: new Uint8Array(0), shape: [0] },
): string[] {
  return decodeBytesTensor(data, elementCount(shape) ?? 0).map((bytes) => Buffer.from(bytes).toString());
}

/** Nine digits mean one FP32. */
function shortest(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(9)) : value;
}
