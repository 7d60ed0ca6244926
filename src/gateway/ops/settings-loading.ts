/** The settings in force: what the sources name, checked together, with defaults for the rest. */

import { SETTINGS } from './setting-description.ts';
import { SETTINGS_SCHEMA, type Settings } from './settings.ts';
import { SettingsError } from './settings-error.ts';
import { contradictions } from './settings-rules.ts';
import { type GivenSettings, readSources, SETTINGS_FILE, type SettingsSources } from './settings-sources.ts';

/** @throws SettingsError with every problem that there is */
export function loadSettings(sources: SettingsSources): Settings {
  return completeSettings(readSources(sources));
}

/** The given settings, with defaults for the rest. @throws SettingsError with every contradiction between them */
export function completeSettings(given: GivenSettings): Settings {
  if (!given.has('modelRepository')) {
    const text = `no models to serve: give a path, as in npx tensorgate serve MODEL.onnx, or a repository with --model-repository DIR, TENSORGATE_MODEL_REPOSITORY or modelRepository in ${SETTINGS_FILE}`;
    throw new SettingsError([text]);
  }
  const settings = SETTINGS_SCHEMA.parse(Object.fromEntries([...given].map(([key, { value }]) => [key, value])));
  const problems = contradictions(settings, given);
  if (problems.length > 0) throw new SettingsError(problems);
  for (const value of Object.values(settings)) Object.freeze(value);
  return Object.freeze(settings);
}

export interface SettingInForce {
  readonly key: keyof Settings;
  /** `undefined` where it would have to be given, and is not. */
  readonly value: unknown;
  /** A flag, a variable, `file:line:column`, or `default`. */
  readonly origin: string;
}

/** The value of each setting and where it comes from, for `--print-config`. */
export function describeSettings(given: GivenSettings): readonly SettingInForce[] {
  return SETTINGS.map(({ key, default: value }) => ({ key, ...(given.get(key) ?? { value, origin: 'default' }) }));
}
