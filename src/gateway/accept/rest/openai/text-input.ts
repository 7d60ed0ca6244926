/** The field `input` of a request: one text, one list of token ids, or a list of either. */

import { InferError } from '../../../errors.ts';
import type { JsonObject } from '../json-field.ts';

/** Most texts of a call, as OpenAI has it. */
export const MAX_TEXTS = 2_048;
const MAX_TOKEN_ID = 2 ** 31 - 1;

export type TextInput = { readonly text: string } | { readonly ids: readonly number[] };

/** A mistake in a field of the request. */
export function mistake(field: string, got: string, expected: string): InferError {
  return new InferError('invalid_request', `'${field}' is ${got}, expected ${expected}`, { field });
}

/** How a value is shown in an error. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value).slice(0, 60);
}

/** @throws InferError `invalid_request` */
export function textAt(value: unknown, field: string): string {
  if (typeof value !== 'string') throw mistake(field, shown(value), 'a string');
  if (!value.isWellFormed()) throw mistake(field, 'a string with half of a surrogate pair', 'Unicode');
  return value;
}

/** @throws InferError `invalid_request` */
export function modelIn(body: JsonObject): string {
  const model = textAt(body['model'], 'model');
  if (model === '') throw mistake('model', 'an empty string', 'the name of a model');
  return model;
}

/** A list of texts. @throws InferError `invalid_request` */
export function textsAt(value: unknown, field: string): readonly string[] {
  return checkedList(value, field, 'an array of strings').map((text, index) => textAt(text, `${field}[${index}]`));
}

/** @throws InferError `invalid_request` */
export function inputsIn(body: JsonObject): readonly TextInput[] {
  const value = body['input'];
  if (typeof value === 'string') return [{ text: textAt(value, 'input') }];
  const expected = 'a string, an array of strings, or token ids';
  if (!Array.isArray(value)) throw mistake('input', shown(value), expected);
  if (value.length > 0 && value.every((item) => typeof item === 'number')) return [{ ids: idsAt(value, 'input') }];
  return checkedList(value, 'input', expected).map((item, index) => {
    const field = `input[${index}]`;
    return Array.isArray(item) ? { ids: idsAt(item, field) } : { text: textAt(item, field) };
  });
}

/** The field `tokens`: the ids of one text, or a list of such lists. @throws InferError `invalid_request` */
export function tokensIn(body: JsonObject): {
  readonly lists: readonly (readonly number[])[];
  readonly isList: boolean;
} {
  const { tokens } = body;
  const expected = 'an array of token ids, or an array of such arrays';
  if (!Array.isArray(tokens)) throw mistake('tokens', shown(tokens), expected);
  if (!Array.isArray(tokens[0])) return { lists: [idsAt(tokens, 'tokens')], isList: false };
  const lists = checkedList(tokens, 'tokens', expected).map((ids, index) => {
    if (!Array.isArray(ids)) throw mistake(`tokens[${index}]`, shown(ids), 'an array of token ids');
    return idsAt(ids, `tokens[${index}]`);
  });
  return { lists, isList: true };
}

/** @throws InferError `invalid_request` */
function idsAt(value: readonly unknown[], field: string): readonly number[] {
  if (value.length === 0) throw mistake(field, 'an empty array', 'at least one token id');
  return value.map((id, index) => {
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id <= MAX_TOKEN_ID) return id;
    throw mistake(`${field}[${index}]`, shown(id), `a token id from 0 to ${MAX_TOKEN_ID}`);
  });
}

function checkedList(value: unknown, field: string, expected: string): readonly unknown[] {
  if (!Array.isArray(value)) throw mistake(field, shown(value), expected);
  if (value.length === 0) throw mistake(field, 'an empty array', 'at least one text');
  if (value.length > MAX_TEXTS) throw mistake(field, `an array of ${value.length}`, `at most ${MAX_TEXTS} texts`);
  return value;
}
