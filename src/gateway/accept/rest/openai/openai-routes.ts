/** Paths for texts, as OpenAI's clients and servers of text models have them. Their errors have OpenAI's shape. */

import type { ControlApi } from '../../control-service.ts';
import type { InferenceApi } from '../../inference-service.ts';
import type { BodyLimit } from '../request-body.ts';
import type { RestRoute } from '../rest-route.ts';
import { classify } from './classify.ts';
import { detokenize } from './detokenize.ts';
import { embeddings } from './embeddings.ts';
import { listModels, retrieveModel } from './model-list.ts';
import { openAiError } from './openai-error.ts';
import { CLASSIFY, DETOKENIZE, EMBEDDINGS, LISTED_MODEL, MODEL_LIST, RERANK, TOKENIZE } from './openai-schemas.ts';
import { rerank } from './rerank.ts';
import { tokenize } from './tokenize.ts';

/** JSON of such a length is read within some milliseconds. */
const TEXT_BODY: BodyLimit = { maxBytes: 4 * 2 ** 20, setting: 'the limit of this path' };

type TextRoute = Pick<Extract<RestRoute, { kind: 'json' }>, 'path' | 'rpc' | 'summary' | 'schemas' | 'answer'>;

export function openAiRoutes(api: InferenceApi, control: ControlApi): readonly RestRoute[] {
  return [
    asking({
      path: '/v1/embeddings',
      rpc: 'ModelInfer',
      summary: 'Vectors of texts',
      schemas: EMBEDDINGS,
      answer: (_, body, context) => embeddings(api, body, context),
    }),
    asking({
      path: '/v1/rerank',
      rpc: 'ModelInfer',
      summary: 'Documents by their relevance to a query',
      schemas: RERANK,
      answer: (_, body, context) => rerank(api, body, context),
    }),
    asking({
      path: '/v1/classify',
      rpc: 'ModelInfer',
      summary: 'Classes of texts, the likeliest first',
      schemas: CLASSIFY,
      answer: (_, body, context) => classify(api, body, context),
    }),
    asking({
      path: '/tokenize',
      rpc: 'ModelInfer',
      summary: 'Token ids of texts',
      schemas: TOKENIZE,
      answer: (_, body, context) => tokenize(api, body, context),
    }),
    asking({
      path: '/detokenize',
      rpc: 'ModelInfer',
      summary: 'Texts of token ids',
      schemas: DETOKENIZE,
      answer: (_, body, context) => detokenize(api, body, context),
    }),
    listing('/v1/models', 'The models that are ready', MODEL_LIST, () => listModels(control)),
    listing('/v1/models/{model}', 'A model that is ready', LISTED_MODEL, ({ model = '' }) =>
      retrieveModel(control, model),
    ),
  ];
}

function asking(route: TextRoute): RestRoute {
  return {
    kind: 'json',
    method: 'POST',
    isInference: true,
    bodyLimit: TEXT_BODY,
    errorOf: openAiError,
    ...route,
  };
}

function listing(path: string, summary: string, answer: object, list: TextRoute['answer']): RestRoute {
  return {
    kind: 'json',
    method: 'GET',
    path,
    rpc: 'RepositoryIndex',
    summary,
    errorOf: openAiError,
    schemas: { answer },
    answer: list,
  };
}
