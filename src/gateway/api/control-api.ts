/** The calls by which an operator changes the server, answered from the lifecycle of the models and from telemetry. */

import type { ControlApi, LoadOverride } from '../accept/control-service.ts';
import type { ModelIndexMessage } from '../accept/messages.ts';
import { InferError } from '../errors.ts';
import type { Telemetry } from '../ops/telemetry.ts';

/** Model control: the loaded models, loads and unloads. */
export interface ModelControl {
  readonly control: {
    /** Whether files of models are taken from clients. */
    readonly takesFiles: boolean;
    /** Why clients may not load and unload now, if so. */
    readonly refusal: InferError | undefined;
  };
  /** Every model on disk or loaded, by name, then by version. */
  index(): Promise<readonly ModelIndexMessage[]>;
  /** Whether the repository or the server has such a model, loaded or not. */
  knows(name: string, asOf: 'now' | 'recently'): Promise<boolean>;
  load(name: string, override: LoadOverride): Promise<void>;
  unload(name: string, options: { readonly dependents: boolean }): void;
}

export function controlApi(
  models: ModelControl,
  { logSettings, traceSettings }: Pick<Telemetry, 'logSettings' | 'traceSettings'>,
): ControlApi {
  return {
    takesFiles: models.control.takesFiles,
    screenLoading: () => models.control.refusal,
    repositoryIndex: async (readyOnly) => {
      const entries = await models.index();
      return readyOnly ? entries.filter(({ state }) => state === 'READY') : entries;
    },
    knows: (name, asOf) => models.knows(name, asOf),
    loadModel: (name, override) => models.load(name, override),
    unloadModel: (name, options) => models.unload(name, options),
    traceSettings: async (modelName, changes) => {
      if (modelName !== '' && !(await models.knows(modelName, 'recently'))) {
        throw new InferError('model_not_found', `Request for unknown model : ${modelName}`);
      }
      if (changes.size > 0) traceSettings.change(modelName, changes);
      return traceSettings.read(modelName);
    },
    logSettings: (changes) => {
      if (changes.size > 0) logSettings.change(changes);
      return logSettings.read();
    },
  };
}
