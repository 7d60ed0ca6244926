/** The settings of the server as options of `serve`, `doctor` and `explain`. */

import { type Command, Option } from 'commander';
import { SETTINGS, type SettingDescription } from '../gateway/ops/setting-description.ts';
import type { SettingsSources } from '../gateway/ops/settings-sources.ts';
import { inHelpOrder, settingGroup } from './setting-groups.ts';

/** Flags of a command with settings, apart from the settings themselves. */
export interface ConfigFlags {
  readonly config?: string;
}

const OPTIONS = inHelpOrder(SETTINGS).map((setting) => ({ key: setting.key, option: toOption(setting) }));

export function addSettingOptions(command: Command): void {
  for (const { option } of OPTIONS) command.addOption(option);
}

export function configOption(): Option {
  return new Option('--config <file>', 'settings file in YAML (default: tensorgate.yaml, if it exists)');
}

export function givenSettings(command: Command): Record<string, unknown> {
  const given = OPTIONS.filter(({ option }) => command.getOptionValueSource(option.attributeName()) === 'cli');
  return Object.fromEntries(given.map(({ key, option }) => [key, command.getOptionValue(option.attributeName())]));
}

/** @param given the settings on the command line, by key. */
export function settingsSources(
  given: SettingsSources['flags'],
  { config }: ConfigFlags,
  env: NodeJS.ProcessEnv,
): SettingsSources {
  return { flags: given, env, cwd: process.cwd(), ...(config !== undefined && { file: config }) };
}

/** An option of `serve`. It only shows the variable and the choices: `readSources` and `completeSettings` judge and join the sources. */
function toOption({
  key,
  flag,
  env,
  type,
  list,
  words,
  choices = [],
  default: value,
  derivedDefault,
  description,
}: SettingDescription): Option {
  const argument = { boolean: '[true|false]', integer: '<number>', path: '<path>', string: '<text>' }[type];
  const form = words === undefined ? argument : `<number|${words.join('|')}>`;
  const option = new Option(`${flag} ${list ? '<list>' : form}`, description).env(env);
  if (choices.length > 0) option.choices(choices);
  const group = settingGroup(key);
  if (group !== undefined) option.helpGroup(group);
  if (value !== undefined) option.default(value, String(value) === '' ? 'none' : String(value));
  // Only the help shows it: `givenSettings` takes what the command line says.
  if (derivedDefault !== undefined) option.default(derivedDefault, derivedDefault.replaceAll('`', ''));
  // A repeated flag extends its list. Before the first flag, `before` is the default, which is no text.
  return option.argParser((text, before: unknown) => (list && typeof before === 'string' ? `${before},${text}` : text));
}
