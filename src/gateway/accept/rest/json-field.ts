/** Fields of a JSON body, each read with an error that names it, what was expected and what came. */

import { JsonError, JsonSpan } from '../../../wire/json-bytes.ts';
import { JSON_LIMITS, JsonReader } from '../../../wire/json-reader.ts';
import { InferError } from '../../errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

const MAX_SHOWN = 60;

export function invalid(text: string): InferError {
  return new InferError('invalid_request', text);
}

/** The JSON object that a body is; integers that no number holds are `bigint`. @throws InferError */
export function parseObject(bytes: Buffer): JsonObject {
  try {
    // A value may be as long as the body: files of models come as text.
    const reader = new JsonReader(bytes, { ...JSON_LIMITS, maxBytes: bytes.byteLength });
    const json = reader.value();
    reader.end();
    return objectOf(json, 'the request');
  } catch (error) {
    throw refusalOf(error);
  }
}

/** The error of a reader of JSON as the caller gets it. */
export function refusalOf(error: unknown): unknown {
  if (!(error instanceof JsonError)) return error;
  if (error.kind === 'limit') {
    const text = `the JSON of the request has ${error.message}; the elements of 'data' do not count`;
    return new InferError('limit_exceeded', text);
  }
  return invalid(`failed to parse the request JSON buffer: ${error.message}`);
}

export function objectOf(value: unknown, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw unexpected(what, 'an object', value);
}

/** Whether an optional field has a value. Clients that are made from a schema send `null` for each that has none. */
export function hasValue(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** The object in a field, or an empty one where there is no such field. Members without a value are left out. */
export function objectIn(object: JsonObject, key: string, where: string): JsonObject {
  const value = object[key];
  if (!hasValue(value)) return {};
  return Object.fromEntries(
    Object.entries(objectOf(value, `'${key}' of ${where}`)).filter(([, each]) => hasValue(each)),
  );
}

export function textIn(object: JsonObject, key: string, where: string): string {
  const value = object[key];
  if (typeof value === 'string') return value;
  throw value === undefined
    ? missing(object, key, where, 'a string')
    : unexpected(`'${key}' of ${where}`, 'a string', value);
}

export function listIn(object: JsonObject, key: string, where: string): readonly unknown[] {
  const value = object[key];
  if (Array.isArray(value)) return value;
  throw value === undefined
    ? missing(object, key, where, 'an array')
    : unexpected(`'${key}' of ${where}`, 'an array', value);
}

/** The unparsed JSON of an array. */
export function spanIn(object: JsonObject, key: string, where: string): JsonSpan {
  const value = object[key];
  if (value instanceof JsonSpan) return value;
  throw value === undefined
    ? missing(object, key, where, 'an array')
    : unexpected(`'${key}' of ${where}`, 'an array', value);
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

/** Keys that are not known are ignored, so that a misspelt one is noticed where the right one is missing. */
function missing(object: JsonObject, key: string, where: string, wanted: string): InferError {
  const keys = Object.keys(object).map((present) => `'${present}'`);
  const has = keys.length === 0 ? 'nothing' : keys.join(', ').slice(0, MAX_SHOWN);
  return invalid(`'${key}' of ${where} is missing, expected ${wanted}: it has ${has}`);
}

function show(value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value) || value instanceof JsonSpan) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value).slice(0, MAX_SHOWN);
}
