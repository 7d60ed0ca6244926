/** The paths of REST v2, and what answers each: the same calls as behind gRPC (KServe: inference_rest.md; Triton's extensions). */

import { MAX_CONFIG_BYTES, MAX_REQUEST_BYTES_WITHOUT_FILES } from '../../../wire/repository-request.ts';
import { InferError } from '../../errors.ts';
import type { ControlApi, LogValue } from '../control-service.ts';
import type { InferenceApi } from '../inference-service.ts';
import { noSharedMemory } from '../shared-memory.ts';
import { checkKeys, flagOf, type JsonObject, objectIn, parseObject, textIn, unexpected } from './json-field.ts';
import { readLoadBody } from './load-body.ts';
import type { BodyLimit } from './request-body.ts';

/** What a path names: model, version, region. */
export type PathNames = Readonly<Record<string, string>>;

/** An answer that is JSON, or nothing but its code. */
export interface RestAnswer {
  readonly code: number;
  /** Absent: an empty body. */
  readonly json?: unknown;
}

export type RestRoute =
  | {
      readonly kind: 'json';
      readonly method: 'GET' | 'POST';
      readonly path: string;
      /** The RPC of gRPC that it stands for: metrics and traces know it by that. */
      readonly rpc: string;
      readonly summary: string;
      /** Whether 200 comes without a body. */
      readonly silent?: true;
      /** Longest body, where it is not `SMALL_BODY`; `server`: what the server takes of JSON. */
      readonly bodyLimit?: BodyLimit | 'server';
      /** Why the call is refused before its body is read, if so. */
      screen?(): InferError | undefined;
      /** How the body is read, where it may be too long to be read at once. */
      readBody?(body: Buffer): Promise<JsonObject>;
      /** @param body an empty object where the request has none. */
      answer(names: PathNames, body: JsonObject): RestAnswer | Promise<RestAnswer>;
    }
  | {
      readonly kind: 'infer';
      readonly method: 'POST';
      readonly path: string;
      readonly rpc: string;
      readonly summary: string;
    };

/** A few names and settings. */
export const SMALL_BODY: BodyLimit = { maxBytes: 16 * 1024, setting: 'the limit of this path' };
/** A configuration is a text within JSON: each of its quotes has a backslash there. */
const CONFIG_BODY: BodyLimit = {
  maxBytes: MAX_CONFIG_BYTES + MAX_REQUEST_BYTES_WITHOUT_FILES,
  setting: 'the limit of this path without allowModelUpload, which lets clients send the files of models',
};

const ok = (json: unknown): RestAnswer => ({ code: 200, json });
const DONE: RestAnswer = { code: 200 };

/** @param control absent if only the admin port changes the server. */
export function restRoutes(api: InferenceApi, control: ControlApi, offersAdmin: boolean): readonly RestRoute[] {
  const admin = (rpc: string): InferError | undefined => {
    if (offersAdmin) return undefined;
    const text = `${rpc} is not offered over REST here: call it over gRPC, on the admin port where there is one`;
    return new InferError('unimplemented', text);
  };
  const healthy = (json: Readonly<Record<string, unknown>>, isHealthy: boolean): RestAnswer => ({
    code: isHealthy ? 200 : 503,
    json,
  });
  const models: readonly RestRoute[] = ['/v2/models/{model}', '/v2/models/{model}/versions/{version}'].flatMap(
    (model): RestRoute[] => [
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
    ],
  );
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
    ...models,
    {
      kind: 'json',
      method: 'POST',
      path: '/v2/repository/index',
      rpc: 'RepositoryIndex',
      summary: 'The models of the repository, and their states',
      async answer(_, body) {
        checkKeys(body, ['ready'], 'the request');
        const { ready: readyOnly = false } = body;
        return ok((await control.repositoryIndex(flagOf(readyOnly, "'ready'"))).map(withoutEmpty));
      },
    },
    {
      kind: 'json',
      method: 'POST',
      path: '/v2/repository/models/{model}/load',
      rpc: 'RepositoryModelLoad',
      summary: 'Load a model, or load it again',
      silent: true,
      bodyLimit: control.takesFiles ? 'server' : CONFIG_BODY,
      screen: () => admin('RepositoryModelLoad') ?? control.screenLoading(),
      readBody: (body) => readLoadBody(body),
      async answer({ model = '' }, body) {
        checkKeys(body, ['parameters'], 'the request');
        await control.loadModel(model, loadOverride(objectIn(body, 'parameters', 'the request')));
        return DONE;
      },
    },
    {
      kind: 'json',
      method: 'POST',
      path: '/v2/repository/models/{model}/unload',
      rpc: 'RepositoryModelUnload',
      summary: 'Unload a model',
      silent: true,
      screen: () => admin('RepositoryModelUnload') ?? control.screenLoading(),
      answer({ model = '' }, body) {
        checkKeys(body, ['parameters'], 'the request');
        const { unload_dependents: dependents = false } = objectIn(body, 'parameters', 'the request');
        control.unloadModel(model, { dependents: flagOf(dependents, "'unload_dependents'") });
        return DONE;
      },
    },
    ...['/v2/trace/setting', '/v2/models/{model}/trace/setting'].flatMap((path): RestRoute[] => [
      {
        kind: 'json',
        method: 'GET',
        path,
        rpc: 'TraceSetting',
        summary: 'The trace settings',
        answer: async ({ model = '' }) => ok(traceObject(await control.traceSettings(model, new Map()))),
      },
      {
        kind: 'json',
        method: 'POST',
        path,
        rpc: 'TraceSetting',
        summary: 'Change the trace settings',
        screen: () => admin('TraceSetting'),
        answer: async ({ model = '' }, body) => ok(traceObject(await control.traceSettings(model, traceChanges(body)))),
      },
    ]),
    {
      kind: 'json',
      method: 'GET',
      path: '/v2/logging',
      rpc: 'LogSettings',
      summary: 'The log settings',
      answer: () => ok(control.logSettings(new Map())),
    },
    {
      kind: 'json',
      method: 'POST',
      path: '/v2/logging',
      rpc: 'LogSettings',
      summary: 'Change the log settings',
      screen: () => admin('LogSettings'),
      answer(_, body) {
        return ok(
          control.logSettings(new Map(Object.entries(body).map(([key, value]) => [key, logValue(key, value)]))),
        );
      },
    },
    ...(['system', 'cuda'] as const).flatMap(sharedMemoryRoutes),
  ];
}

/** Nothing is registered, and nothing can be: clients that clean up before they start find nothing to do. */
function sharedMemoryRoutes(kind: 'system' | 'cuda'): RestRoute[] {
  const base = `/v2/${kind}sharedmemory`;
  const rpc = kind === 'system' ? 'SystemSharedMemory' : 'CudaSharedMemory';
  return [
    {
      kind: 'json',
      method: 'GET',
      path: `${base}/status`,
      rpc: `${rpc}Status`,
      summary: `The registered regions of ${kind} shared memory: none`,
      answer: () => ok([]),
    },
    {
      kind: 'json',
      method: 'GET',
      path: `${base}/region/{region}/status`,
      rpc: `${rpc}Status`,
      summary: `A registered region of ${kind} shared memory: there is none`,
      answer({ region = '' }) {
        throw new InferError('region_not_found', `Unable to find ${kind} shared memory region: '${region}'`);
      },
    },
    ...[`${base}/unregister`, `${base}/region/{region}/unregister`].map(
      (path): RestRoute => ({
        kind: 'json',
        method: 'POST',
        path,
        rpc: `${rpc}Unregister`,
        summary: `Unregister regions of ${kind} shared memory: nothing to do`,
        silent: true,
        answer: () => DONE,
      }),
    ),
    {
      kind: 'json',
      method: 'POST',
      path: `${base}/region/{region}/register`,
      rpc: `${rpc}Register`,
      summary: 'Refused: no tensors are taken through shared memory',
      screen: () => noSharedMemory(`${rpc}Register`),
      answer() {
        throw noSharedMemory(`${rpc}Register`);
      },
    },
  ];
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

function withoutEmpty(entry: object): object {
  return Object.fromEntries(Object.entries(entry).filter(([key, value]) => key === 'name' || value !== ''));
}

function loadOverride(parameters: JsonObject): Parameters<ControlApi['loadModel']>[1] {
  const files = new Map<string, Uint8Array>();
  let config: string | undefined;
  for (const key of Object.keys(parameters)) {
    if (key === 'config') config = textIn(parameters, key, 'parameters');
    else if (key.startsWith('file:')) files.set(key.slice(5), bytesIn(parameters, key));
    else throw new InferError('invalid_request', `unrecognized load parameter '${key}'.`);
  }
  return { files, ...(config === undefined ? {} : { config }) };
}

/** Base64 in the request, for JSON has no bytes (Triton: extension_model_repository.md). */
function bytesIn(parameters: JsonObject, key: string): Uint8Array {
  const value = parameters[key];
  if (value instanceof Uint8Array) return value;
  throw unexpected(`'${key}' of parameters`, 'a string of Base64', value);
}

/** A setting of one value is that value, of several an array. */
function traceObject(settings: Readonly<Record<string, readonly string[]>>): object {
  return Object.fromEntries(
    Object.entries(settings).map(([key, values]) => [key, key === 'trace_level' ? values : (values[0] ?? '')]),
  );
}

/** `null` goes back to what holds for all. */
function traceChanges(body: JsonObject): ReadonlyMap<string, readonly string[]> {
  return new Map(
    Object.entries(body).map(([key, value]) => {
      if (value === null) return [key, []];
      return [key, (Array.isArray(value) ? value : [value]).map((item) => settingText(key, item))];
    }),
  );
}

function settingText(key: string, value: unknown): string {
  if (['string', 'number', 'bigint', 'boolean'].includes(typeof value)) return String(value);
  throw unexpected(`trace setting '${key}'`, 'a string, a number, or an array of them', value);
}

function logValue(key: string, value: unknown): LogValue {
  if (typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string') return value;
  throw unexpected(`log setting '${key}'`, 'a boolean, a number or a string', value);
}

/** The body of a call that takes JSON; one without a body says nothing. */
export function parseBody(body: Buffer): JsonObject {
  return body.byteLength === 0 ? {} : parseObject(body);
}
