/** The files of a folder as Hugging Face, Optimum or sentence-transformers exports it. */

import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import { absent, readEntries, readText } from './disk.ts';
import { isVersionName } from './version-number.ts';

export type Json = Readonly<Record<string, unknown>>;

/** A JSON of that name is Hugging Face's own. */
const TRITONS = /^config\.(pbtxt|ya?ml)$/;

/** Whether the names are of a folder with versions, or with a configuration of Triton. */
export function isTritons(names: readonly string[]): boolean {
  return names.some((name) => isVersionName(name) || TRITONS.test(name));
}

/** Paths from the folder. Variants lie beside `model.onnx`, and Optimum uses `onnx/`. */
export async function onnxFiles(directory: string, names: readonly string[]): Promise<string[]> {
  const own = names.filter((name) => name.endsWith('.onnx'));
  if (own.length > 0) return own.sort();
  if (!names.includes('onnx')) return [];
  const inner = (await namesIn(path.join(directory, 'onnx'))).filter((name) => name.endsWith('.onnx'));
  return inner.sort().map((name) => `onnx/${name}`);
}

/** `undefined` where there is no such file. @throws Error that names the file */
export async function readJson(directory: string, name: string): Promise<unknown> {
  const text = await readText(path.join(directory, name)).catch(absent);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) throw new Error('expected an object');
    return value;
  } catch (error) {
    throw new Error(`${name}: ${messageOf(error)}`, { cause: error });
  }
}

/** None where the folder is gone meanwhile, or may not be read. */
export async function namesIn(directory: string): Promise<string[]> {
  return ((await readEntries(directory).catch(absent)) ?? []).map(({ name }) => name);
}

export function sizeOf(value: unknown): number | undefined {
  return Number.isInteger(value) && (value as number) > 0 ? (value as number) : undefined;
}
