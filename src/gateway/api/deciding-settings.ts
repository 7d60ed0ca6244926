/** The settings that decided how a version is served, and where each is written: in its configuration, or among the server's. */

import type { ExplainedSetting, SettingOrigin } from '../../wire/model-explanation.ts';
import { OVERRIDE_NAME } from '../models/model-plan.ts';
import type { Servable } from '../models/servable.ts';
import { usableCores } from '../ops/machine-capacity.ts';
import { SETTINGS } from '../ops/setting-description.ts';
import type { Settings } from '../ops/settings.ts';
import type { GivenSettings } from '../ops/settings-sources.ts';
import { DEFAULT_MAX_BATCH_SIZE, DEFAULT_MAX_QUEUE_SIZE } from '../repository/config/model-config.ts';

/** The settings of the server, and the sources that name some of them. */
export interface ServerSettings {
  readonly settings: Settings;
  readonly given: GivenSettings;
}

interface Decision {
  readonly name: string;
  readonly value: unknown;
  /** Fields of the configuration that decide it, the first that is given. */
  readonly fields: readonly string[];
  /** The setting of the server that decides it otherwise. */
  readonly setting?: keyof Settings | undefined;
  /** Origin of the value if neither is given. */
  readonly otherwise?: SettingOrigin;
}

export function decidingSettings(model: Servable, server: ServerSettings): ExplainedSetting[] {
  const decisions = model.platform === 'ensemble' ? ensembleDecisions(model, server) : modelDecisions(model, server);
  return [...decisions, ...givenFields(model)].flatMap(({ name, value, fields, setting, otherwise }) => {
    const origin = originOf({ fields, setting }, model, server) ?? otherwise;
    return origin === undefined || value === undefined ? [] : [{ name, value: textOf(value), origin }];
  });
}

function modelDecisions(model: Servable, server: ServerSettings): Decision[] {
  const { config, plan } = model;
  const { tensorgate, dynamic_batching: dynamic, instance_group: groups } = config;
  const preferred = plan.sessions[0]?.providers ?? [];
  const isCpuGroup = groups.length > 0 && groups.every(({ kind }) => kind === 'KIND_CPU');
  return [
    { ...rowsDecision(model), fields: ['max_batch_size'] },
    {
      name: 'instance_group',
      value: plan.sessions.length,
      fields: ['instance_group'],
      otherwise: derived(`${usableCores()} cores of this machine: one less, from 1 to 4`),
    },
    {
      name: 'execution_providers',
      value: preferred,
      fields: [
        ...(isCpuGroup ? ['instance_group'] : []),
        'tensorgate.execution_providers',
        'optimization.execution_accelerators',
      ],
      setting: 'executionProviders',
    },
    {
      name: 'max_queue_delay_microseconds',
      value: dynamic.max_queue_delay_microseconds,
      fields: ['dynamic_batching.max_queue_delay_microseconds'],
      otherwise: byDefault('an idle instance waits only for callers who come back at once'),
    },
    {
      name: 'max_queue_size',
      value: dynamic.default_queue_policy.max_queue_size ?? DEFAULT_MAX_QUEUE_SIZE,
      fields: ['dynamic_batching.default_queue_policy.max_queue_size'],
      otherwise: byDefault(
        dynamic.default_queue_policy.max_queue_size === 0 ? "Triton's default in a config.pbtxt: no limit" : 'built in',
      ),
    },
    {
      name: 'max_queue_bytes',
      value: tensorgate.max_queue_bytes,
      fields: ['tensorgate.max_queue_bytes'],
      otherwise: byDefault('built in'),
    },
    objectiveDecision(model),
    { name: 'max_run_ms', value: plan.maxRunMs, fields: ['tensorgate.max_run_ms'], setting: 'maxDeadlineMs' },
    ...commonDecisions(model, server),
  ];
}

function ensembleDecisions(model: Servable, server: ServerSettings): Decision[] {
  return [
    { name: 'ensemble_scheduling', value: 'the graph of its steps', fields: ['ensemble_scheduling'] },
    ...commonDecisions(model, server),
  ];
}

function commonDecisions({ config, plan }: Servable, { settings }: ServerSettings): Decision[] {
  return [
    { name: 'maxMessageBytes', value: settings.maxMessageBytes, fields: [], setting: 'maxMessageBytes' },
    {
      name: 'maxOutputBytes',
      value: plan.maxOutputBytes,
      fields: [],
      setting: 'maxOutputBytes',
      otherwise: derived('maxMessageBytes'),
    },
    { name: 'defaultDeadlineMs', value: settings.defaultDeadlineMs, fields: [], setting: 'defaultDeadlineMs' },
    {
      name: 'version_policy',
      value: config.version_policy,
      fields: ['version_policy'],
      otherwise: byDefault('latest' in config.version_policy ? "Triton's default in a config.pbtxt" : 'built in'),
    },
  ];
}

function rowsDecision({ ready: { signature } }: Servable): Omit<Decision, 'fields'> {
  const { batching } = signature;
  const from =
    batching.kind === 'off' ? batching.reason : `built in for a model that batches: ${DEFAULT_MAX_BATCH_SIZE}`;
  const value = batching.kind === 'off' ? 0 : batching.maxRows;
  return { name: 'max_batch_size', value, otherwise: batching.kind === 'off' ? derived(from) : byDefault(from) };
}

function objectiveDecision({ plan, config, usualObjectiveMs }: Servable): Decision {
  const delay = config.dynamic_batching.max_queue_delay_microseconds > 0 ? ', and the queue delay' : '';
  const value = plan.objectiveMs ?? (usualObjectiveMs === undefined ? undefined : Math.round(usualObjectiveMs));
  return {
    name: 'objective_ms',
    value,
    fields: ['tensorgate.objective_ms'],
    setting: 'objectiveMs',
    otherwise: derived(`ten runs of the request, at least 250 ms${delay}`),
  };
}

/** Fields that decide only where the configuration names them. */
const GIVEN_ONLY = [
  'input',
  'output',
  'default_model_filename',
  'dynamic_batching.preferred_batch_size',
  'dynamic_batching.priority_levels',
  'dynamic_batching.default_queue_policy.default_timeout_microseconds',
  'dynamic_batching.default_queue_policy.timeout_action',
  'sequence_batching',
  'response_cache.enable',
  'optimization.graph.level',
  'model_warmup',
  'tensorgate.runner',
  'tensorgate.strict_execution_providers',
  'tensorgate.row_independence',
  'tensorgate.split',
  'tensorgate.batch_axes',
  'tensorgate.padding',
  'tensorgate.probe_values',
  'tensorgate.probe_shape',
  'tensorgate.labels',
  'tensorgate.traffic.split',
  'tensorgate.traffic.sticky_by',
  'tensorgate.traffic.shadow',
  'tensorgate.pinned',
  'tensorgate.max_sequences',
  'tensorgate.max_cache_bytes',
] as const;

function givenFields({ config, plan }: Servable): Decision[] {
  const parameters = Object.keys(config.parameters).map((key) => `parameters.${key}`);
  return [...GIVEN_ONLY, ...parameters]
    .filter((field) => plan.origins?.has(field))
    .map((field) => ({ name: field, value: valueAt(config, field.split('.')), fields: [field] }));
}

/** A parameter's own name may hold dots. */
function valueAt(config: object, path: readonly string[]): unknown {
  const [field = '', ...rest] = path;
  const value: unknown = new Map<string, unknown>(Object.entries(config)).get(field);
  if (rest.length === 0 || typeof value !== 'object' || value === null || value instanceof Map) return value;
  return field === 'parameters' ? valueAt(value, [rest.join('.')]) : valueAt(value, rest);
}

function originOf(
  { fields, setting }: Pick<Decision, 'fields' | 'setting'>,
  { plan }: Servable,
  { given }: ServerSettings,
): SettingOrigin | undefined {
  const field = fields.find((name) => plan.origins?.has(name));
  const written = field === undefined ? undefined : plan.origins?.get(field);
  if (written !== undefined) return parseOrigin(written);
  if (setting === undefined) return undefined;
  const origin = given.get(setting)?.origin;
  if (origin !== undefined) return parseOrigin(origin);
  const { default: value, derivedDefault } = SETTINGS.find(({ key }) => key === setting) ?? {};
  return value === undefined || derivedDefault !== undefined ? undefined : byDefault(`${setting}, built in`);
}

/** @param text `file:line:column`, a flag, or a variable. */
function parseOrigin(text: string): SettingOrigin {
  const { file, line, column } = /^(?<file>.+):(?<line>\d+):(?<column>\d+)$/s.exec(text)?.groups ?? {};
  if (file === undefined) return { kind: text.startsWith('--') ? 'flag' : 'environment', name: text };
  if (file === OVERRIDE_NAME) return { kind: 'request' };
  return { kind: 'file', file, line: Number(line), column: Number(column) };
}

function derived(from: string): SettingOrigin {
  return { kind: 'derived', from };
}

function byDefault(from: string): SettingOrigin {
  return { kind: 'default', from };
}

/** Longer values are shown by their beginning. */
const MAX_TEXT = 160;

function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return value.join(', ');
  const text = JSON.stringify(value, (_key, item: unknown) => (item instanceof Map ? Object.fromEntries(item) : item));
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}
