/** The paths that ask the server and its models (KServe: inference_rest.md; Triton: extension_statistics.md). */

import { InferError } from '../../errors.ts';
import type { ControlApi } from '../control-service.ts';
import type { InferenceApi } from '../inference-service.ts';
import { ok, type RestAnswer, type RestRoute } from './rest-route.ts';

const MODELS = ['/v2/models/{model}', '/v2/models/{model}/versions/{version}'];

/** The paths about the server, then those about each model. */
export function modelRoutes(api: InferenceApi, control: Pick<ControlApi, 'knows'>): readonly RestRoute[] {
  return [...serverRoutes(api), ...MODELS.flatMap((model) => routesOf(model, api, control))];
}

function serverRoutes(api: InferenceApi): readonly RestRoute[] {
  return [
    {
      kind: 'json',
      method: 'GET',
      path: '/v2',
      rpc: 'ServerMetadata',
      summary: 'The server and what it offers',
      answer: () => ok(api.serverMetadata()),
    },
    {
      kind: 'json',
      method: 'GET',
      path: '/v2/health/live',
      rpc: 'ServerLive',
      summary: 'Whether the server lives: 200, or 503',
      answer: () => healthy({ live: api.live() }, api.live()),
    },
    {
      kind: 'json',
      method: 'GET',
      path: '/v2/health/ready',
      rpc: 'ServerReady',
      summary: 'Whether the server is ready: 200, or 503',
      answer: () => healthy({ ready: api.ready() }, api.ready()),
    },
    {
      kind: 'json',
      method: 'GET',
      path: '/v2/models/stats',
      rpc: 'ModelStatistics',
      summary: 'What every model has done',
      answer: () => ok(statistics(api, '', '')),
    },
  ];
}

function routesOf(model: string, api: InferenceApi, control: Pick<ControlApi, 'knows'>): readonly RestRoute[] {
  return [
    {
      kind: 'json',
      method: 'GET',
      path: model,
      rpc: 'ModelMetadata',
      summary: "A model's inputs and outputs",
      answer: ({ model: name = '', version = '' }) => ok(api.modelMetadata(name, version)),
    },
    {
      kind: 'json',
      method: 'GET',
      path: `${model}/ready`,
      rpc: 'ModelReady',
      summary: 'Whether a model is ready: 200, or 503',
      async answer({ model: name = '', version = '' }) {
        if (!(await control.knows(name, 'recently'))) {
          throw new InferError('model_not_found', `Request for unknown model: '${name}' is not found`);
        }
        const ready = api.modelReady(name, version);
        const error = `Model version not ready: '${name}' ${version}`.trimEnd();
        return healthy({ name, ready, ...(!ready && { error }) }, ready);
      },
    },
    {
      kind: 'json',
      method: 'GET',
      path: `${model}/config`,
      rpc: 'ModelConfig',
      summary: "A model's configuration, completed from its ONNX file",
      answer: ({ model: name = '', version = '' }) => ok(api.modelConfig(name, version)),
    },
    {
      kind: 'json',
      method: 'GET',
      path: `${model}/stats`,
      rpc: 'ModelStatistics',
      summary: 'What a model has done',
      answer: ({ model: name = '', version = '' }) => ok(statistics(api, name, version)),
    },
    { kind: 'infer', method: 'POST', path: `${model}/infer`, rpc: 'ModelInfer', summary: 'Run a model' },
  ];
}

function healthy(json: Readonly<Record<string, unknown>>, isHealthy: boolean): RestAnswer {
  return { code: isHealthy ? 200 : 503, json };
}

/** Counts are numbers in JSON, however large. */
function statistics(api: InferenceApi, name: string, version: string): unknown {
  return { model_stats: numbers(api.modelStatistics(name, version)) };
}

/** Decimal texts of `uint64` fields as integers; a version stays the text that it is. */
function numbers(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => numbers(item));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, numbers(item, name)]));
  }
  return typeof value === 'string' && key !== 'name' && key !== 'version' && /^\d+$/.test(value)
    ? BigInt(value)
    : value;
}
