/** The value that a text of a flag or a variable stands for. Choices may have any case. */

import { suggestion } from '../../suggestion.ts';
import { legalValues, type SettingDescription } from './setting-description.ts';
import { SETTINGS_SCHEMA } from './settings.ts';

/**
 * Checks what a flag or a variable gives, which may be a text or the value itself.
 * @param origin the flag or variable, for the problem
 * @returns `undefined` where the value is not legal, with a problem added
 */
export function checkValue(setting: SettingDescription, given: unknown, origin: string, problems: string[]): unknown {
  const value = typeof given === 'string' ? parseText(setting, given) : given;
  const result = SETTINGS_SCHEMA.shape[setting.key].safeParse(value);
  if (result.success) return result.data;
  const got = String(given).slice(0, 100);
  const hint = setting.choices === undefined || setting.list ? '' : suggestion(got, setting.choices);
  problems.push(`${origin}: expected ${legalValues(setting)}, got '${got}'${hint.startsWith('; did') ? hint : ''}`);
  return undefined;
}

function parseText(setting: SettingDescription, text: string): unknown {
  const { type, list } = setting;
  if (list) return text.split(',').map((part) => findChoice(setting, part.trim()));
  if (type === 'integer' && /^-?\d+$/.test(text)) return Number(text);
  if (type === 'boolean' && /^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  return findChoice(setting.words === undefined ? setting : { choices: setting.words }, text);
}

/** Replaces each text that names a choice by that choice, in lists too: for values of the file. */
export function withChoices(setting: SettingDescription, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => withChoices(setting, item));
  return typeof value === 'string' ? findChoice(setting, value) : value;
}

/** The choice that a text names, in capitals or not; otherwise the text itself. */
export function findChoice({ choices = [] }: Pick<SettingDescription, 'choices'>, text: string): string {
  return choices.find((choice) => choice.toLowerCase() === text.toLowerCase()) ?? text;
}
