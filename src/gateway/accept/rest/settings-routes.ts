/** The paths of trace and log settings (Triton: extension_trace.md, extension_logging.md). */

import { auditedControl, type ControlApi, type LogValue } from '../control-service.ts';
import { type JsonObject, unexpected } from './json-field.ts';
import { type AdminScreen, ok, type RestRoute } from './rest-route.ts';

export function settingsRoutes(control: ControlApi, admin: AdminScreen): readonly RestRoute[] {
  return [
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
        isControl: true,
        screen: () => admin('TraceSetting'),
        answer: async ({ model = '' }, body, { call }) =>
          ok(traceObject(await auditedControl(control, call).traceSettings(model, traceChanges(body)))),
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
      isControl: true,
      screen: () => admin('LogSettings'),
      async answer(_, body, { call }) {
        const changes = new Map(Object.entries(body).map(([key, value]) => [key, logValue(key, value)]));
        return ok(await auditedControl(control, call).logSettings(changes));
      },
    },
  ];
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
