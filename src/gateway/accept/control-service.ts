/** The RPCs of `inference.GRPCInferenceService` that change the server: model control, trace settings, log settings. */

import type { RepositoryRequest } from '../../wire/repository-request.ts';
import { InferError } from '../errors.ts';
import { audited } from '../ops/audit.ts';
import type { Call } from './call.ts';
import type { ModelIndexMessage } from './messages.ts';
import type { Answers } from './unary-method.ts';

/** Configuration and files that replace the model's own until it is loaded without them. */
export interface LoadOverride {
  /** A `ModelConfig` as JSON. */
  readonly config?: string;
  /** Contents by `<version>/<file name>`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export type LogValue = boolean | number | string;

/** The implementation of the RPCs; a thrown error becomes the status. */
export interface ControlApi {
  /** Whether files of models are taken from clients. */
  readonly takesFiles: boolean;
  /** Why clients may not load and unload now, if so. */
  screenLoading(): InferError | undefined;
  repositoryIndex(readyOnly: boolean): Promise<readonly ModelIndexMessage[]>;
  /** Whether the repository or the server has such a model, loaded or not. */
  knows(name: string, asOf: 'now' | 'recently'): Promise<boolean>;
  /** Resolves when the model answers. */
  loadModel(name: string, override: LoadOverride): Promise<void>;
  /** Does not wait for requests in flight. */
  unloadModel(name: string, options: { readonly dependents: boolean }): void;
  /**
   * Changes, then returns the trace settings of a model, or the global ones if the name is empty. Empty values reset to the
   * global setting; without changes it only reads.
   */
  traceSettings(
    modelName: string,
    changes: ReadonlyMap<string, readonly string[]>,
  ): Promise<Readonly<Record<string, readonly string[]>>>;
  logSettings(changes: ReadonlyMap<string, LogValue>): Readonly<Record<string, LogValue>>;
}

interface TraceRequest {
  readonly model_name: string;
  readonly settings: Readonly<Record<string, { readonly value: readonly string[] }>>;
}

interface LogParameter {
  readonly bool_param?: boolean;
  readonly uint32_param?: number;
  readonly string_param?: string;
}

interface LogRequest {
  readonly settings: Readonly<Record<string, LogParameter>>;
}

interface SettingsOfTraces {
  readonly settings: Readonly<Record<string, { readonly value: readonly string[] }>>;
}

/** The messages of the RPCs by which clients load and unload. `repository-codec.ts` decodes the requests. */
export interface LoadingRpcs {
  readonly RepositoryModelLoad: { readonly request: RepositoryRequest; readonly response: object };
  readonly RepositoryModelUnload: { readonly request: RepositoryRequest; readonly response: object };
}

/** The messages of the RPCs that read and change settings. */
export interface SettingRpcs {
  readonly TraceSetting: { readonly request: TraceRequest; readonly response: SettingsOfTraces };
  readonly LogSettings: { readonly request: LogRequest; readonly response: LogRequest };
}

export interface IndexRpc {
  readonly RepositoryIndex: {
    readonly request: { readonly repository_name: string; readonly ready: boolean };
    readonly response: { readonly models: readonly ModelIndexMessage[] };
  };
}

/** The RPCs that change something: with an admin port, they are served only there. */
export const ADMIN_RPCS: ReadonlySet<string> = new Set<keyof LoadingRpcs | keyof SettingRpcs>([
  'RepositoryModelLoad',
  'RepositoryModelUnload',
  'TraceSetting',
  'LogSettings',
]);

/** Those that are allowed only where clients may load and unload. */
export const LOADING_RPCS: ReadonlySet<string> = new Set<keyof LoadingRpcs>([
  'RepositoryModelLoad',
  'RepositoryModelUnload',
]);

export async function modelIndex(
  { repository_name, ready }: IndexRpc['RepositoryIndex']['request'],
  api: ControlApi,
): Promise<readonly ModelIndexMessage[]> {
  if (repository_name !== '') throw repositoryName();
  return api.repositoryIndex(ready);
}

interface AuditedControl extends Pick<ControlApi, 'loadModel' | 'traceSettings'> {
  unloadModel(...unload: Parameters<ControlApi['unloadModel']>): Promise<void>;
  logSettings(changes: ReadonlyMap<string, LogValue>): Promise<ReturnType<ControlApi['logSettings']>>;
}

/** The calls that change the server, published with who made them: the same through every door. */
export function auditedControl(api: ControlApi, by: Call): AuditedControl {
  return {
    loadModel: (model, override) =>
      audited({ by, action: 'model.load', model, detail: contentsOf(override) }, () => api.loadModel(model, override)),
    unloadModel: (model, options) =>
      audited({ by, action: 'model.unload', model, detail: options.dependents ? 'and its steps' : '' }, () =>
        api.unloadModel(model, options),
      ),
    traceSettings: async (model, changes) => {
      const change = (): ReturnType<ControlApi['traceSettings']> => api.traceSettings(model, changes);
      if (changes.size === 0) return change();
      const detail = settingsIn(changes, (values) => values.join(','));
      return audited({ by, action: 'settings.trace', model, detail }, change);
    },
    logSettings: async (changes) => {
      if (changes.size === 0) return api.logSettings(changes);
      const detail = settingsIn(changes, String);
      return audited({ by, action: 'settings.log', model: '', detail }, () => api.logSettings(changes));
    },
  };
}

function contentsOf({ config, files }: LoadOverride): string {
  const parts = [config === undefined ? '' : 'a configuration', files.size === 0 ? '' : `${files.size} files`];
  const given = parts.filter((part) => part !== '').join(' and ');
  return given === '' ? '' : `with ${given}`;
}

function settingsIn<Value>(changes: ReadonlyMap<string, Value>, textOf: (value: Value) => string): string {
  return [...changes].map(([key, value]) => `${key}=${textOf(value)}`).join(' ');
}

export function controlAnswers(api: ControlApi): Answers<LoadingRpcs & SettingRpcs> {
  return {
    RepositoryModelLoad: async (request, call) => {
      const { name, kserve } = await modelNameOf(request, api);
      await auditedControl(api, call).loadModel(name, overrideOf(request.parameters));
      return kserve ? { model_name: name, is_loaded: true } : {};
    },
    RepositoryModelUnload: async (request, call) => {
      const { name, kserve } = await modelNameOf(request, api);
      await auditedControl(api, call).unloadModel(name, { dependents: dependentsOf(request.parameters) });
      return kserve ? { model_name: name, is_unloaded: true } : {};
    },
    TraceSetting: async ({ model_name, settings }, call) => {
      const changes = new Map(Object.entries(settings).map(([key, { value }]) => [key, value]));
      const current = Object.entries(await auditedControl(api, call).traceSettings(model_name, changes));
      return { settings: Object.fromEntries(current.map(([key, value]) => [key, { value }])) };
    },
    LogSettings: async ({ settings }, call) => {
      const changes = new Map(Object.entries(settings).map(([key, value]) => [key, logValueOf(key, value)]));
      const current = Object.entries(await auditedControl(api, call).logSettings(changes));
      return { settings: Object.fromEntries(current.map(([key, value]) => [key, logParameterOf(value)])) };
    },
  };
}

function repositoryName(): InferError {
  return new InferError('unimplemented', "'repository_name' specification is not supported");
}

/** KServe's messages have the model's name in field 1, where Triton's have the repository's. */
async function modelNameOf(
  { repository_name, model_name }: RepositoryRequest,
  api: ControlApi,
): Promise<{ readonly name: string; readonly kserve: boolean }> {
  if (repository_name === '') return { name: model_name, kserve: false };
  if (model_name === '' && (await api.knows(repository_name, 'now'))) return { name: repository_name, kserve: true };
  throw repositoryName();
}

const FILE_PREFIX = 'file:';

function overrideOf(parameters: RepositoryRequest['parameters']): LoadOverride {
  const files = new Map<string, Uint8Array>();
  let config: string | undefined;
  for (const [key, { string_param, bytes_param }] of parameters) {
    if (key === 'config') {
      if (string_param === undefined) throw wrongKind(`load parameter 'config', expected string_param.`);
      config = string_param;
    } else if (key.startsWith(FILE_PREFIX)) {
      if (bytes_param === undefined) throw wrongKind(`load parameter '${key}', expected bytes_param.`);
      files.set(key.slice(FILE_PREFIX.length), bytes_param);
    } else throw new InferError('invalid_request', `unrecognized load parameter '${key}'.`);
  }
  return { files, ...(config === undefined ? {} : { config }) };
}

function dependentsOf(parameters: RepositoryRequest['parameters']): boolean {
  const parameter = parameters.get('unload_dependents');
  if (parameter === undefined) return false;
  if (parameter.bool_param === undefined) throw wrongKind(`'unload_dependents' parameter, expected bool_param.`);
  return parameter.bool_param;
}

function wrongKind(text: string): InferError {
  return new InferError('invalid_request', `invalid value type for ${text}`);
}

function logValueOf(key: string, { bool_param, uint32_param, string_param }: LogParameter): LogValue {
  const value = bool_param ?? uint32_param ?? string_param;
  if (value === undefined) throw new InferError('invalid_request', `log setting '${key}' has no value`);
  return value;
}

function logParameterOf(value: LogValue): LogParameter {
  if (typeof value === 'boolean') return { bool_param: value };
  return typeof value === 'number' ? { uint32_param: value } : { string_param: value };
}
