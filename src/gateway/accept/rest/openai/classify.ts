/** `/v1/classify`: the classes of texts with their scores, the likeliest first. */

import { decodeBytesTensor } from '../../../../wire/bytes-tensor.ts';
import { elementCount } from '../../../../wire/tensor.ts';
import { InferError } from '../../../errors.ts';
import type { InferenceApi } from '../../inference-service.ts';
import type { JsonObject } from '../json-field.ts';
import { ok, type RestAnswer, type RestContext } from '../rest-route.ts';
import { modelIn, textAt, textsAt } from './text-input.ts';
import { findTextModel, type TextModel } from './text-model.ts';
import { TextRequests } from './text-requests.ts';
import { askTexts } from './tokens.ts';

/** @throws InferError */
export async function classify(api: InferenceApi, body: JsonObject, { call }: RestContext): Promise<RestAnswer> {
  const name = modelIn(body);
  const { input } = body;
  const texts = Array.isArray(input) ? textsAt(input, 'input') : [textAt(input, 'input')];
  const requests = new TextRequests(api, call);
  const model = await findTextModel(api, name, call);
  const { label, score } = tensorsOf(model);
  const all = await requests.each(texts, async (each, index) => {
    const { outputs, tokens } = await askTexts(model, requests, [each], [label, score]);
    const names = outputs.get(label);
    const scores = new Float32Array(Uint8Array.from(outputs.get(score)?.data ?? []).buffer);
    const labels = decodeBytesTensor(names?.data ?? new Uint8Array(0), elementCount(names?.shape ?? []) ?? 0);
    const classes = labels.map((bytes, at) => ({ label: Buffer.from(bytes).toString(), score: scores[at] }));
    return { result: { index, label: classes[0]?.label, classes }, tokens };
  });
  const tokens = all.reduce((sum, each) => sum + each.tokens, 0);
  return ok({
    object: 'list',
    model: name,
    data: all.map(({ result }) => result),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

/** @throws InferError `invalid_request` */
function tensorsOf(model: TextModel): { readonly label: string; readonly score: string } {
  const [text, second] = model.inputs;
  const [label, score] = [model.outputOf('TYPE_STRING'), model.outputOf('TYPE_FP32')];
  if (text !== undefined && second === undefined && label !== undefined && score !== undefined) {
    return { label, score };
  }
  const wanted = 'expected one input of texts, and outputs BYTES and FP32 [texts, classes]';
  throw new InferError('invalid_request', `model '${model.name}' gives no classes: ${wanted}`, { field: 'model' });
}
