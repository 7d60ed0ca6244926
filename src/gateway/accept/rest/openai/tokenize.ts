/** `/tokenize`: texts to token ids, as the model gets them. */

import type { InferenceApi } from '../../inference-service.ts';
import type { JsonObject } from '../json-field.ts';
import { ok, type RestAnswer, type RestContext } from '../rest-route.ts';
import { modelIn, textAt, textsAt } from './text-input.ts';
import { findTextModel } from './text-model.ts';
import { TextRequests } from './text-requests.ts';
import { idsOf, tokenizerOf } from './tokens.ts';

/** `{tokens, count}` of a text; of a list of texts, a list of both. @throws InferError */
export async function tokenize(api: InferenceApi, body: JsonObject, { call }: RestContext): Promise<RestAnswer> {
  const name = modelIn(body);
  const { input } = body;
  const texts = Array.isArray(input) ? textsAt(input, 'input') : [textAt(input, 'input')];
  const requests = new TextRequests(api, call);
  const model = await findTextModel(api, name, call);
  const tokenizer = tokenizerOf(model);
  // A tokenizer of pairs takes the second text too: of one text, the pair with nothing.
  const none = Object.keys(tokenizer.inputs)
    .slice(1)
    .map(() => '');
  const all = await requests.each(texts, async (text) => {
    const tokens = [...(await idsOf(model, tokenizer, requests, [text, ...none]))].map(Number);
    return { tokens, count: tokens.length };
  });
  if (!Array.isArray(input)) return ok(all[0]);
  return ok({ tokens: all.map(({ tokens }) => tokens), count: all.map(({ count }) => count) });
}
