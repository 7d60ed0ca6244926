/** What is on disk: `<repository>/<model>/<version>/model.onnx`, with an optional configuration beside the versions. */

import fs from 'node:fs';
import path from 'node:path';
import { CONFIG_NAMES } from './config-file.ts';

/** A model's folder, read but not judged. */
export interface ModelFolder {
  readonly name: string;
  readonly directory: string;
  /** Ascending. */
  readonly versions: readonly number[];
  /** `config.yaml`, `config.json` or `config.pbtxt`, where there is one. */
  readonly configPath: string | undefined;
  /** Why this folder cannot be served at all, if so. */
  readonly problem: string | undefined;
}

/** The repository itself cannot be read; the text says what to do. */
export class RepositoryError extends Error {}

/** A client's model name is only ever compared with these, and never becomes part of a path. */
const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** As Triton has it: a decimal number above 0; a name with a leading zero, or anything else, is no version. */
const VERSION_NAME = /^[1-9][0-9]{0,9}$/;

/**
 * Lists the models of a repository, by name.
 * @throws RepositoryError where the directory does not exist or cannot be read.
 */
export function scanRepository(directory: string): ModelFolder[] {
  return listNames(directory).map((name) => readFolder(path.join(directory, name), name));
}

/**
 * The names of the models of a repository, ascending.
 * @throws RepositoryError where the directory does not exist or cannot be read.
 */
export function listNames(directory: string): string[] {
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    const reason = isErrno(error) && error.code === 'ENOENT' ? 'does not exist' : `cannot be read (${String(error)})`;
    throw new RepositoryError(
      `the model repository '${directory}' ${reason}: give a directory that holds <model>/<version>/model.onnx with --model-repository`,
    );
  }
  return entries
    .filter(({ name }) => !name.startsWith('.') && isDirectory(path.join(directory, name)))
    .map(({ name }) => name)
    .sort();
}

/**
 * One model of a repository. The name may be a client's: it is compared with what is there, and decides nothing else.
 * @returns undefined where there is no such model.
 * @throws RepositoryError where the directory does not exist or cannot be read.
 */
export function findFolder(directory: string, name: string): ModelFolder | undefined {
  const found = listNames(directory).find((entry) => entry === name);
  return found === undefined ? undefined : readFolder(path.join(directory, found), found);
}

/** Reads a model's folder, wherever it lies. */
export function readFolder(directory: string, name: string): ModelFolder {
  const names = namesIn(directory);
  const versions = names
    .filter((entry) => isVersionName(entry) && isDirectory(path.join(directory, entry)))
    .map(Number)
    .sort((a, b) => a - b);
  const configs = CONFIG_NAMES.filter((entry) => names.includes(entry));
  const config = configs[0];
  return {
    name,
    directory,
    versions,
    configPath: config === undefined ? undefined : path.join(directory, config),
    problem: problemOf(name, versions, configs),
  };
}

function problemOf(name: string, versions: readonly number[], configs: readonly string[]): string | undefined {
  if (!MODEL_NAME.test(name)) {
    return `'${name}' is no model name: use letters, digits, '.', '_' and '-', at most 128, beginning with a letter or digit`;
  }
  if (configs.length > 1) return `${configs.length === 2 ? 'both ' : ''}${configs.join(' and ')} are there: keep one`;
  if (versions.length === 0) return 'no version: expected a directory such as 1/ with model.onnx in it';
  return undefined;
}

export function isModelName(name: string): boolean {
  return MODEL_NAME.test(name);
}

export function isVersionName(name: string): boolean {
  return VERSION_NAME.test(name);
}

/** None where the directory is gone meanwhile. */
function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

function isDirectory(candidate: string): boolean {
  try {
    return fs.statSync(candidate).isDirectory();
  } catch {
    return false; // a dangling link, or gone meanwhile
  }
}

function isErrno(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error;
}
