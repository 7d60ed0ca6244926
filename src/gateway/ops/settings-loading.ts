/** The settings in force: what the sources name, checked together, with defaults for the rest. */

import { SETTINGS } from './setting-description.ts';
import { SETTINGS_SCHEMA, type Settings } from './settings.ts';
import { SettingsError } from './settings-error.ts';
import { contradictions } from './settings-rules.ts';
import { readSources, SETTINGS_FILE, type SettingsSources } from './settings-sources.ts';

/** @throws SettingsError with every problem that there is */
export function loadSettings(sources: SettingsSources): Settings {
  const given = readSources(sources);
  if (!given.has('modelRepository')) {
    const text = `no model repository: give --model-repository DIR, TENSORGATE_MODEL_REPOSITORY or modelRepository in ${SETTINGS_FILE}`;
    throw new SettingsError([text]);
  }
  const settings = SETTINGS_SCHEMA.parse(Object.fromEntries([...given].map(([key, { value }]) => [key, value])));
  const problems = contradictions(settings, given);
  if (problems.length > 0) throw new SettingsError(problems);
  for (const value of Object.values(settings)) Object.freeze(value);
  return Object.freeze(settings);
}

/** A setting in force. */
export interface SettingInForce {
  readonly key: keyof Settings;
  /** `undefined` where it would have to be given, and is not. */
  readonly value: unknown;
  /** A flag, a variable, the path of a file, or `default`. */
  readonly origin: string;
}

/**
 * The value of each setting and where it comes from, for `--print-config`.
 * @throws SettingsError as `loadSettings` does, except that nothing has to be given
 */
export function describeSettings(sources: SettingsSources): readonly SettingInForce[] {
  const given = readSources(sources);
  return SETTINGS.map(({ key, default: value }) => ({ key, ...(given.get(key) ?? { value, origin: 'default' }) }));
}

/** The settings that some source names. @throws SettingsError as `describeSettings` does */
export function givenSettings(sources: SettingsSources): ReadonlySet<keyof Settings> {
  return new Set(readSources(sources).keys());
}
