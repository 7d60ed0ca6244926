/** Fields of a JSON body, each read with an error that names it, what was expected and what came. */

import { parseExactJson } from '../../../wire/exact-json.ts';
import { InferError } from '../../errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

const MAX_SHOWN = 60;

export function invalid(text: string): InferError {
  return new InferError('invalid_request', text);
}

/** The JSON object that a body is; integers that no number holds are `bigint`. @throws InferError `invalid_request` */
export function parseObject(bytes: Uint8Array): JsonObject {
  let json: unknown;
  try {
    json = parseExactJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid(`failed to parse the request JSON buffer: ${error instanceof Error ? error.message : String(error)}`);
  }
  return objectOf(json, 'the request');
}

export function objectOf(value: unknown, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw unexpected(what, 'an object', value);
}

/** The object in a field, or an empty one where there is no such field. */
export function objectIn(object: JsonObject, key: string, where: string): JsonObject {
  return object[key] === undefined ? {} : objectOf(object[key], `'${key}' of ${where}`);
}

export function textIn(object: JsonObject, key: string, where: string): string {
  const value = object[key];
  if (typeof value === 'string') return value;
  throw unexpected(`'${key}' of ${where}`, 'a string', value);
}

export function listIn(object: JsonObject, key: string, where: string): readonly unknown[] {
  const value = object[key];
  if (Array.isArray(value)) return value;
  throw unexpected(`'${key}' of ${where}`, 'an array', value);
}

export function flagOf(value: unknown, what: string): boolean {
  if (typeof value === 'boolean') return value;
  throw unexpected(what, 'a boolean', value);
}

/** @throws InferError for a key that has no meaning here: a misspelt one must not be ignored. */
export function checkKeys(object: JsonObject, known: readonly string[], where: string): void {
  const unknown = Object.keys(object).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw invalid(`${where} has no '${unknown.slice(0, MAX_SHOWN)}': known are ${known.join(', ')}`);
  }
}

export function unexpected(what: string, wanted: string, value: unknown): InferError {
  return invalid(`${what} is ${show(value)}, expected ${wanted}`);
}

function show(value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value).slice(0, MAX_SHOWN);
}
