/** Each setting as flags, variables, help and `docs/configuration.md` show it: all of them follow from the schema. */

import { SETTINGS_SCHEMA, type Settings } from './settings.ts';
import { SETTINGS_JSON_SCHEMA } from './settings-json-schema.ts';

/** A setting as a command line shows it. */
export interface SettingDescription {
  /** Its name in `tensorgate.yaml`. */
  readonly key: keyof Settings;
  /** Such as `--grpc-port`. */
  readonly flag: string;
  /** Such as `TENSORGATE_GRPC_PORT`. */
  readonly env: string;
  readonly type: 'boolean' | 'integer' | 'path' | 'string';
  /** Takes several values: separated by commas in flags and variables. */
  readonly list: boolean;
  /** Form of its texts, if not every text is legal. */
  readonly form?: string;
  readonly choices?: readonly string[];
  /** Words that are legal besides whole numbers. */
  readonly words?: readonly string[];
  /** The legal range of an integer. */
  readonly minimum?: number;
  readonly maximum?: number;
  readonly required: boolean;
  /** `undefined`: there is none, and what it is about is off, or it is derived. */
  readonly default: boolean | number | string | readonly string[] | undefined;
  /** The default in words, if it follows from another setting or from the machine. */
  readonly derivedDefault?: string;
  readonly description: string;
}

/** The settings whose default follows from another setting or from the machine. */
const DERIVED_DEFAULTS: ReadonlyMap<string, string> = new Map<keyof Settings, string>([
  ['maxOutputBytes', 'the value of `maxMessageBytes`'],
  ['logFormat', '`text` on a terminal, otherwise `json`'],
  ['objectiveMs', 'ten times the predicted run time of the call, and at least 250'],
]);

/** A field in the terms of JSON Schema, as zod describes it. */
interface FieldSchema {
  readonly type: 'array' | 'boolean' | 'integer' | 'string';
  /** A whole number or a word, instead of a type. */
  readonly anyOf?: readonly [
    Pick<FieldSchema, 'type' | 'minimum' | 'maximum'>,
    { readonly const?: string; readonly enum?: readonly string[] },
  ];
  readonly description: string;
  readonly title?: string;
  readonly format?: 'path';
  readonly enum?: readonly string[];
  readonly items?: { readonly enum?: readonly string[] };
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: SettingDescription['default'];
}

/** Every setting, in the order of the documentation. */
export const SETTINGS: readonly SettingDescription[] = Object.entries(
  SETTINGS_JSON_SCHEMA.properties as unknown as Record<keyof Settings, FieldSchema>,
).map(([key, given]) => {
  const [number, word] = given.anyOf ?? [];
  const field: FieldSchema = { ...given, ...number };
  const dashed = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const choices = field.enum ?? field.items?.enum;
  const words = word?.enum ?? (word?.const === undefined ? undefined : [word.const]);
  const derivedDefault = DERIVED_DEFAULTS.get(key);
  return {
    key: key as keyof Settings,
    flag: `--${dashed}`,
    env: `TENSORGATE_${dashed.toUpperCase().replaceAll('-', '_')}`,
    type: field.type === 'array' ? 'string' : (field.format ?? field.type),
    list: field.type === 'array',
    ...(field.title === undefined ? {} : { form: field.title }),
    ...(choices === undefined ? {} : { choices }),
    ...(words === undefined ? {} : { words }),
    ...(field.minimum === undefined ? {} : { minimum: field.minimum }),
    ...(field.maximum === undefined ? {} : { maximum: field.maximum }),
    required: !SETTINGS_SCHEMA.shape[key as keyof Settings].safeParse(undefined).success,
    default: field.default,
    ...(derivedDefault === undefined ? {} : { derivedDefault }),
    description: field.description,
  };
});

/** Such as `a whole number from 0 to 65535`. */
export function legalValues({ type, list, form, choices, words, minimum, maximum }: SettingDescription): string {
  if (list)
    return `${choices === undefined ? (form ?? 'texts') : `some of ${choices.join(', ')}`}, separated by commas`;
  if (choices !== undefined) return `one of ${choices.join(', ')}`;
  if (type === 'boolean') return 'true or false';
  if (type !== 'integer') return form ?? `a ${type}`;
  const number =
    maximum === Number.MAX_SAFE_INTEGER
      ? `a whole number from ${minimum}`
      : `a whole number from ${minimum} to ${maximum}`;
  return words === undefined ? number : `${number}, or ${words.join(' or ')}`;
}
