/** `/v1/rerank` (Cohere: API reference, "Rerank"; Jina: "Reranker API"): how well each document answers a query. */

import { InferError } from '../../../errors.ts';
import type { InferenceApi } from '../../inference-service.ts';
import { flagOf, hasValue, type JsonObject } from '../json-field.ts';
import { ok, type RestAnswer, type RestContext } from '../rest-route.ts';
import { mistake, modelIn, shown, textAt, textsAt } from './text-input.ts';
import { findTextModel, type TextModel } from './text-model.ts';
import { TextRequests } from './text-requests.ts';
import { askTexts } from './tokens.ts';

/** @throws InferError */
export async function rerank(api: InferenceApi, body: JsonObject, { call }: RestContext): Promise<RestAnswer> {
  const name = modelIn(body);
  const query = textAt(body['query'], 'query');
  const documents = documentsIn(body['documents']);
  const most = topIn(body['top_n'], documents.length);
  const returnsDocuments = hasValue(body['return_documents']) && flagOf(body['return_documents'], "'return_documents'");
  const requests = new TextRequests(api, call);
  const model = await findTextModel(api, name, call);
  const score = scoreOutput(model);
  const scored = await requests.each(documents, async (document, index) => {
    const { outputs, tokens } = await askTexts(model, requests, [query, document], [score]);
    const data = outputs.get(score)?.data ?? new Uint8Array(0);
    const [relevance] = new Float32Array(Uint8Array.from(data).buffer);
    return { index, relevance_score: relevance ?? Number.NaN, tokens };
  });
  const tokens = scored.reduce((sum, each) => sum + each.tokens, 0);
  const best = scored.toSorted((a, b) => b.relevance_score - a.relevance_score || a.index - b.index).slice(0, most);
  return ok({
    model: name,
    results: best.map(({ index, relevance_score }) => {
      return { index, relevance_score, ...(returnsDocuments && { document: { text: documents[index] } }) };
    }),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

/** Texts, or objects with a `text`. @throws InferError `invalid_request` */
function documentsIn(value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw mistake('documents', shown(value), 'an array of strings');
  const texts = value.map((each: unknown) => {
    return typeof each === 'object' && each !== null && !Array.isArray(each) ? (each as JsonObject)['text'] : each;
  });
  return textsAt(texts, 'documents');
}

function topIn(value: unknown, documents: number): number {
  if (!hasValue(value)) return documents;
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
  throw mistake('top_n', shown(value), 'a positive whole number');
}

/** @throws InferError `invalid_request` */
function scoreOutput(model: TextModel): string {
  const output = model.outputOf('TYPE_FP32');
  if (output !== undefined && model.inputs.length === 2) return output;
  const text = `model '${model.name}' reranks nothing: expected two inputs of texts, and an output FP32 [pairs, 1]`;
  throw new InferError('invalid_request', text, { field: 'model' });
}
