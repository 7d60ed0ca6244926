/** The paths that load and unload models (Triton: extension_model_repository.md). */

import { MAX_CONFIG_BYTES, MAX_REQUEST_BYTES_WITHOUT_FILES } from '../../../wire/repository-request.ts';
import { InferError } from '../../errors.ts';
import { auditedControl, type ControlApi } from '../control-service.ts';
import { checkKeys, flagOf, type JsonObject, objectIn, textIn, unexpected } from './json-field.ts';
import { readLoadBody } from './load-body.ts';
import type { BodyLimit } from './request-body.ts';
import { type AdminScreen, DONE, ok, type RestRoute } from './rest-route.ts';

/** A configuration is a text within JSON: each of its quotes has a backslash there. */
const CONFIG_BODY: BodyLimit = {
  maxBytes: MAX_CONFIG_BYTES + MAX_REQUEST_BYTES_WITHOUT_FILES,
  setting: 'the limit of this path without allowModelUpload, which lets clients send the files of models',
};

export function repositoryRoutes(control: ControlApi, admin: AdminScreen): readonly RestRoute[] {
  return [
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
      isControl: true,
      bodyLimit: control.takesFiles ? 'server' : CONFIG_BODY,
      screen: () => admin('RepositoryModelLoad') ?? control.screenLoading(),
      readBody: (body) => readLoadBody(body),
      async answer({ model = '' }, body, { call }) {
        checkKeys(body, ['parameters'], 'the request');
        await auditedControl(control, call).loadModel(model, loadOverride(objectIn(body, 'parameters', 'the request')));
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
      isControl: true,
      screen: () => admin('RepositoryModelUnload') ?? control.screenLoading(),
      async answer({ model = '' }, body, { call }) {
        checkKeys(body, ['parameters'], 'the request');
        const { unload_dependents: dependents = false } = objectIn(body, 'parameters', 'the request');
        const options = { dependents: flagOf(dependents, "'unload_dependents'") };
        await auditedControl(control, call).unloadModel(model, options);
        return DONE;
      },
    },
  ];
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
