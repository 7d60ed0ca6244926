/**
 * The sources of settings. Each setting comes from the first of these that names it: a flag, the environment (`TENSORGATE_*`),
 * the file `tensorgate.yaml`; without any of them it has its default.
 */

import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { suggestion } from '../../suggestion.ts';
import { decodeText } from '../../wire/text-encoding.ts';
import { parseYaml } from '../repository/config/yaml-document.ts';
import { SETTINGS, type SettingDescription } from './setting-description.ts';
import { checkValue, findChoice, withChoices } from './setting-value.ts';
import { SETTINGS_SCHEMA, type Settings } from './settings.ts';
import { SettingsError } from './settings-error.ts';

export interface SettingsSources {
  /** By key; values are texts or what they stand for. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** A file that has to exist. Without it, `tensorgate.yaml` in `cwd` is read where there is one. */
  readonly file?: string;
  /** Paths in flags and variables are relative to it; those in the file to the file. */
  readonly cwd: string;
}

export interface GivenSetting {
  readonly value: unknown;
  /** A flag, a variable, or `file:line:column`. */
  readonly origin: string;
}

export type GivenSettings = ReadonlyMap<keyof Settings, GivenSetting>;

export const SETTINGS_FILE = 'tensorgate.yaml';

/** A variable of the client commands: the address of the server. */
const CLIENT_VARIABLE = 'TENSORGATE_URL';

/** The schema without defaults, which shows what the file itself names. */
const FILE_SCHEMA = z.strictObject(
  Object.fromEntries(
    SETTINGS.map((setting) => {
      const field = SETTINGS_SCHEMA.shape[setting.key];
      const own = z.optional(field instanceof z.ZodDefault ? field.unwrap() : field);
      const preprocessed = z.preprocess((value) => withChoices(setting, value), own);
      return [setting.key, setting.choices === undefined ? own : preprocessed];
    }),
  ),
);

/** Reads the settings that some source names. @throws SettingsError with every problem of every source */
export function readSources(sources: SettingsSources): GivenSettings {
  const problems: string[] = [];
  const layers = [readFile(sources, problems), readEnvironment(sources, problems), readFlags(sources, problems)];
  if (problems.length > 0) throw new SettingsError(problems);
  return new Map(layers.flatMap((layer) => [...layer]));
}

function readFile({ file, cwd }: SettingsSources, problems: string[]): GivenSettings {
  const name = file ?? SETTINGS_FILE;
  const filePath = path.resolve(cwd, name);
  let text: string;
  try {
    text = decodeText(fs.readFileSync(filePath));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' || file !== undefined) problems.push(`${name}: cannot be read: ${code}`);
    return new Map();
  }
  const parsed = parseYaml(text, name, FILE_SCHEMA);
  if (parsed.kind === 'problems') {
    problems.push(...parsed.problems);
    return new Map();
  }
  const given = new Map<keyof Settings, GivenSetting>();
  for (const setting of SETTINGS) {
    const value = parsed.value[setting.key];
    if (value === undefined) continue;
    const { line, column } = parsed.locate([setting.key]);
    const origin = `${name}:${line}:${column}`;
    given.set(setting.key, { value: locate(setting, value, path.dirname(filePath)), origin });
  }
  return given;
}

function readEnvironment({ env, cwd }: SettingsSources, problems: string[]): GivenSettings {
  const given = new Map<keyof Settings, GivenSetting>();
  for (const setting of SETTINGS) {
    const origin = [setting.env, ...platformVariables(setting, env)].find((name) => isGiven(name, env[name]));
    if (origin === undefined) continue;
    // Secrets and `.env` files often end in a line break.
    const value = checkValue(setting, env[origin]?.trim(), origin, problems);
    given.set(setting.key, { value: locate(setting, value, cwd), origin });
  }
  const known = SETTINGS.map((setting) => setting.env);
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('TENSORGATE_') || known.includes(name) || name === CLIENT_VARIABLE) continue;
    if (isGiven(name, value)) problems.push(`${name}: there is no such setting${suggestion(name, known)}`);
  }
  return given;
}

/** Variables that Vertex AI sets in a container (Google Cloud: "Custom container requirements for prediction"). */
const VERTEX: ReadonlyMap<keyof Settings, string> = new Map([
  ['httpPort', 'AIP_HTTP_PORT'],
  ['healthRoute', 'AIP_HEALTH_ROUTE'],
  ['predictRoute', 'AIP_PREDICT_ROUTE'],
]);

/** Variables of the platform that rank below ours. Every program sees them, so one with a value unknown to us is ignored. */
function platformVariables(setting: SettingDescription, env: SettingsSources['env']): readonly string[] {
  const vertex = VERTEX.get(setting.key);
  if (vertex !== undefined) return checkValue(setting, env[vertex]?.trim(), vertex, []) === undefined ? [] : [vertex];
  if (setting.key !== 'logLevel') return [];
  const isLevel = setting.choices?.includes(findChoice(setting, env['LOG_LEVEL']?.trim() ?? ''));
  return isLevel === true ? ['LOG_LEVEL'] : [];
}

function readFlags({ flags, cwd }: SettingsSources, problems: string[]): GivenSettings {
  const given = new Map<keyof Settings, GivenSetting>();
  for (const setting of SETTINGS) {
    if (flags[setting.key] === undefined) continue;
    const value = checkValue(setting, flags[setting.key], setting.flag, problems);
    given.set(setting.key, { value: locate(setting, value, cwd), origin: setting.flag });
  }
  return given;
}

/**
 * Reads the settings that a program gives by their keys; `undefined` gives none.
 * @throws SettingsError with every problem
 */
export function readOptions(options: Readonly<Record<string, unknown>>, cwd: string): GivenSettings {
  const problems: string[] = [];
  const given = new Map<keyof Settings, GivenSetting>();
  for (const [name, option] of Object.entries(options)) {
    if (option === undefined) continue;
    const setting = SETTINGS.find(({ key }) => key === name);
    if (setting === undefined) {
      const keys = SETTINGS.map(({ key }) => key);
      problems.push(`${name}: there is no such setting${suggestion(name, keys)}`);
    } else {
      const value = checkValue(setting, option, name, problems);
      given.set(setting.key, { value: locate(setting, value, cwd), origin: name });
    }
  }
  if (problems.length > 0) throw new SettingsError(problems);
  return given;
}

/**
 * Whether a variable gives a value. An empty one gives none. Kubernetes sets variables in every pod for each Service of the
 * namespace, and these give none either: a Service `tensorgate-grpc` would set TENSORGATE_GRPC_PORT to `tcp://10.0.0.1:8001`.
 */
function isGiven(name: string, value: string | undefined): boolean {
  if (value === undefined || value.trim() === '') return false;
  const isServiceLink = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name);
  return !isServiceLink && !/^(tcp|udp|sctp):\/\//.test(value);
}

function locate({ type }: SettingDescription, value: unknown, base: string): unknown {
  return type === 'path' && typeof value === 'string' ? path.resolve(base, value) : value;
}
