/** Paths that hosting platforms call: Amazon SageMaker's, and those that Vertex AI names in its variables. */

import type { ControlApi } from '../../control-service.ts';
import type { InferenceApi } from '../../inference-service.ts';
import type { BodyLimit } from '../request-body.ts';
import type { RestAnswer, RestRoute } from '../rest-route.ts';
import { invoke } from './invocations.ts';
import { predict } from './predict.ts';

/** JSON of such a length is read within some milliseconds. */
const ROWS_BODY: BodyLimit = { maxBytes: 4 * 2 ** 20, setting: 'the limit of this path' };

export interface PlatformPaths {
  /** Answers like `/readyz`. */
  readonly healthRoute?: string | undefined;
  /** Takes `instances`. */
  readonly predictRoute?: string | undefined;
}

export function platformRoutes(
  api: InferenceApi,
  control: Pick<ControlApi, 'repositoryIndex'>,
  { healthRoute, predictRoute }: PlatformPaths,
): readonly RestRoute[] {
  return [
    healthAt('/ping', api),
    rowsAt('/invocations', 'Run the model that a SageMaker endpoint has', (body, context) =>
      invoke(api, control, body, context),
    ),
    ...(healthRoute === undefined ? [] : [healthAt(healthRoute, api)]),
    ...(predictRoute === undefined
      ? []
      : [
          rowsAt(predictRoute, 'Run a model with rows of JSON', (body, context) =>
            predict(api, control, body, context),
          ),
        ]),
  ];
}

/** `/ping` of SageMaker, and `AIP_HEALTH_ROUTE` of Vertex AI. */
function healthAt(path: string, api: Pick<InferenceApi, 'ready'>): RestRoute {
  return {
    kind: 'json',
    method: 'GET',
    path,
    rpc: 'ServerReady',
    summary: 'Whether the server is ready: 200, or 503',
    answer: (): RestAnswer => ({ code: api.ready() ? 200 : 503, json: { ready: api.ready() } }),
  };
}

type RowsAnswer = Extract<RestRoute, { kind: 'json' }>['answer'];

function rowsAt(
  path: string,
  summary: string,
  answer: (body: Parameters<RowsAnswer>[1], context: Parameters<RowsAnswer>[2]) => Promise<RestAnswer>,
): RestRoute {
  return {
    kind: 'json',
    method: 'POST',
    path,
    rpc: 'ModelInfer',
    summary,
    isInference: true,
    bodyLimit: ROWS_BODY,
    schemas: { body: { type: 'object' }, answer: {} },
    answer: (_, body, context) => answer(body, context),
  };
}
