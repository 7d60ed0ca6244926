/** `/v1/embeddings` (OpenAI: API reference, "Create embeddings"): texts or token ids to vectors. */

import type { InferOutput } from '../../../../wire/infer-response.ts';
import { JsonTensorWriter, MIN_STEP_BYTES } from '../../../../wire/json-tensor-writer.ts';
import { InferError } from '../../../errors.ts';
import type { InferenceApi } from '../../inference-service.ts';
import { SLICES } from '../../slices.ts';
import { hasValue, type JsonObject } from '../json-field.ts';
import type { RestAnswer, RestContext } from '../rest-route.ts';
import { inputsIn, mistake, modelIn, shown, type TextInput } from './text-input.ts';
import { findTextModel, type TextModel } from './text-model.ts';
import { TextRequests } from './text-requests.ts';
import { askTexts, runFromIds } from './tokens.ts';

interface Embedding {
  readonly vector: Float32Array;
  /** Tokens of the text; 0 where the model has no tokenizer. */
  readonly tokens: number;
}

/** Longest element in JSON: sign, digits, point, exponent, comma. */
const ELEMENT_BYTES = 16;
const LEAST_NORM = 1e-12;

/** @throws InferError */
export async function embeddings(
  api: InferenceApi,
  body: JsonObject,
  { call, charge }: RestContext,
): Promise<RestAnswer> {
  const name = modelIn(body);
  const inputs = inputsIn(body);
  const isBase64 = isBase64Wanted(body['encoding_format']);
  const dimensions = dimensionsIn(body['dimensions']);
  const requests = new TextRequests(api, call);
  const model = await findTextModel(api, name, call);
  const output = vectorOutput(model);
  const all = await requests.each(inputs, async (input) => {
    const { vector, tokens } = await embed(model, output, requests, input);
    const cut = dimensions === undefined ? vector : cutTo(vector, dimensions, name);
    charge.take(cut.byteLength);
    return { vector: cut, tokens };
  });
  const tokens = all.reduce((sum, each) => sum + each.tokens, 0);
  const chunks: Uint8Array[] = [Buffer.from('{"object":"list","data":[')];
  for (const [index, { vector }] of all.entries()) {
    chunks.push(Buffer.from(`${index > 0 ? ',' : ''}{"object":"embedding","index":${index},"embedding":`));
    const written = isBase64 ? base64(vector) : jsonArray(vector);
    charge.take(written.byteLength);
    chunks.push(written, Buffer.from('}'));
    if (SLICES.isOver && index < all.length - 1) await SLICES.next();
  }
  chunks.push(
    Buffer.from(`],"model":${JSON.stringify(name)},"usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}}}`),
  );
  return { code: 200, chunks };
}

/** The name of the output with the vectors. @throws InferError `invalid_request` */
function vectorOutput(model: TextModel): string {
  const output = model.outputs.includes('sentence_embedding') ? 'sentence_embedding' : model.outputOf('TYPE_FP32');
  const [, second] = model.inputs;
  // A classifier has scores of classes that it names.
  if (output !== undefined && second === undefined && model.outputOf('TYPE_STRING') === undefined) return output;
  const text = `model '${model.name}' gives no embeddings: expected one input of texts, and an output FP32 [texts, width]`;
  throw new InferError('invalid_request', text, { field: 'model' });
}

async function embed(model: TextModel, output: string, requests: TextRequests, input: TextInput): Promise<Embedding> {
  if ('ids' in input) {
    const tensors = await runFromIds(model, requests, input.ids);
    return { vector: vectorOf(tensors.get(output), model.name), tokens: input.ids.length };
  }
  const { outputs, tokens } = await askTexts(model, requests, [input.text], [output]);
  return { vector: vectorOf(outputs.get(output), model.name), tokens };
}

/** A copy: the answer may lie at any offset. @throws InferError `invalid_request` where it is no vector */
function vectorOf(output: InferOutput | undefined, model: string): Float32Array {
  const { datatype, shape = [], data } = output ?? {};
  if (datatype === 'FP32' && data !== undefined && shape.length === 2 && shape[0] === 1) {
    return new Float32Array(Uint8Array.from(data).buffer);
  }
  const text = `model '${model}' gives ${datatype ?? 'nothing'} [${shape}] for a text, expected FP32 [1, width]`;
  throw new InferError('invalid_request', text, { field: 'model' });
}

/** The first elements, scaled to the length 1. @throws InferError `invalid_request` where there are not so many */
function cutTo(vector: Float32Array, dimensions: number, model: string): Float32Array {
  if (dimensions > vector.length) {
    throw mistake('dimensions', String(dimensions), `at most ${vector.length}, the width of model '${model}'`);
  }
  const cut = vector.slice(0, dimensions);
  const norm = Math.max(Math.sqrt(cut.reduce((sum, value) => sum + value * value, 0)), LEAST_NORM);
  return cut.map((value) => value / norm);
}

function isBase64Wanted(value: unknown): boolean {
  if (!hasValue(value) || value === 'float') return false;
  if (value === 'base64') return true;
  throw mistake('encoding_format', shown(value), "'float' or 'base64'");
}

function dimensionsIn(value: unknown): number | undefined {
  if (!hasValue(value)) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
  throw mistake('dimensions', shown(value), 'a positive whole number');
}

/** Little-endian FP32, as OpenAI's clients decode it. */
function base64({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return Buffer.from(`"${Buffer.from(buffer, byteOffset, byteLength).toString('base64')}"`);
}

/** The shortest digits that give the same FP32. */
function jsonArray({ buffer, byteOffset, byteLength, length }: Float32Array): Uint8Array {
  const target = Buffer.allocUnsafe(length * ELEMENT_BYTES + MIN_STEP_BYTES + 2);
  target[0] = 0x5b;
  const end = new JsonTensorWriter('FP32', new Uint8Array(buffer, byteOffset, byteLength), length).write(target, 1);
  target[end] = 0x5d;
  return target.subarray(0, end + 1);
}
