/** The calls that change the server, published with who made them: the same through every door. */

import { audited } from '../ops/audit.ts';
import type { Call } from './call.ts';
import type { ControlApi, LoadOverride, LogValue } from './control-service.ts';

interface AuditedControl extends Pick<ControlApi, 'loadModel' | 'traceSettings'> {
  unloadModel(...unload: Parameters<ControlApi['unloadModel']>): Promise<void>;
  logSettings(changes: ReadonlyMap<string, LogValue>): Promise<ReturnType<ControlApi['logSettings']>>;
}

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
