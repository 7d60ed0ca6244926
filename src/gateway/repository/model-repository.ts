/** The models on disk: `<repository>/<model>/<version>/model.onnx`, with an optional configuration beside the versions. */

import type { Dirent } from 'node:fs';
import path from 'node:path';
import { shellWord } from '../../shell-word.ts';
import { CONFIG_NAMES } from './config/config-file.ts';
import { absent, readEntries, refusedOrAbsent, statFile } from './disk.ts';
import { EXPORT_VERSION, readExportedFolder } from './exported-folder.ts';
import { nameOfPart, partOf } from './part-name.ts';
import { compareVersions, isVersionName } from './version-number.ts';

/** A model's folder, read but not judged. */
export interface ModelFolder {
  readonly name: string;
  readonly directory: string;
  /** Ascending. */
  readonly versions: readonly string[];
  /** `config.yaml`, `config.json` or `config.pbtxt`, where there is one. */
  readonly configPath: string | undefined;
  /** The configuration in JSON of a folder as Hugging Face exports it, whose files lie in the folder itself; absent for others. */
  readonly madeConfig?: string | undefined;
  /** Why this folder cannot be served at all, if so. */
  readonly problem: string | undefined;
}

export interface RepositoryNames {
  /** Names of the models, ascending. */
  readonly models: readonly string[];
  /** Directories that are not meant as models: `lost+found` of a file system, folders of other programs. */
  readonly foreign: readonly string[];
  /** ONNX files in the root itself, which no server loads. */
  readonly loose: readonly string[];
}

export const MODEL_PLACE = '<model>/<version>/model.onnx';

/** The repository itself cannot be read; the text says what to do. */
export class RepositoryError extends Error {}

/** A client's model name is only ever compared with these, and never becomes part of a path. */
const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * Lists the models of a repository, by name.
 * @throws RepositoryError where the directory cannot be used.
 */
export async function scanRepository(directory: string): Promise<ModelFolder[]> {
  const { models } = await listNames(directory);
  return Promise.all(models.map((name) => readFolder(path.join(directory, name), name)));
}

/** @throws RepositoryError where the directory does not exist, cannot be read, or is the folder of one model. */
export async function listNames(directory: string): Promise<RepositoryNames> {
  const entries = await readEntries(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOTDIR') {
      throw new RepositoryError(
        `'${directory}' is a file, not a repository of models: run npx tensorgate serve ${shellWord(directory)}`,
      );
    }
    const reason = error.code === 'ENOENT' ? 'does not exist' : `cannot be read (${String(error)})`;
    throw new RepositoryError(
      `the model repository '${directory}' ${reason}: give a directory that holds ${MODEL_PLACE} with --model-repository`,
    );
  });
  const models: string[] = [];
  const foreign: string[] = [];
  const judge = async (entry: Dirent): Promise<void> => {
    const { name } = entry;
    if (name.startsWith('.') || !(await isDirectory(directory, entry))) return;
    const folder = path.join(directory, name);
    const isModel = MODEL_NAME.test(name) || (await isModelFolder(folder));
    (isModel ? models : foreign).push(name);
    const text = isModel ? await readExportedFolder(folder, name) : undefined;
    for (const part of text?.configs.keys() ?? []) if (part !== '') models.push(nameOfPart(name, part));
  };
  await Promise.all(entries.map(judge));
  await refuseModel(directory, models, entries);
  const loose = entries.map(({ name }) => name).filter((name) => name.endsWith('.onnx') && !models.includes(name));
  return { models: models.sort(), foreign: foreign.sort(), loose: loose.sort() };
}

/** Why there is nothing to serve in a repository, and what to do; `undefined` where there are models. */
export function vacancyOf(directory: string, { models, loose }: RepositoryNames): string | undefined {
  const [file] = loose;
  if (models.length > 0) return undefined;
  if (file !== undefined) return `there is no model in '${directory}': ${looseProblem(directory, file)}`;
  const place = path.join(directory, MODEL_PLACE);
  return `the model repository '${directory}' is empty: put a model at ${place}, or serve a file: npx tensorgate serve FILE.onnx`;
}

/** For an ONNX file in the root of a repository. */
export function looseProblem(directory: string, name: string): string {
  const file = path.join(directory, name);
  const place = path.join(directory, path.basename(name, '.onnx'), '1', 'model.onnx');
  const move = `mkdir -p ${shellWord(path.dirname(place))} && mv ${shellWord(file)} ${shellWord(place)}`;
  return `${file} is not served: move it to ${place}: ${move}; or serve it by itself: npx tensorgate serve ${shellWord(file)}`;
}

/** The path of a model in place of its repository: its versions look like models without versions. */
async function refuseModel(directory: string, models: readonly string[], entries: readonly Dirent[]): Promise<void> {
  if (models.length === 0 || !models.every(isVersionName)) return;
  const folders = await Promise.all(models.map((name) => isModelFolder(path.join(directory, name))));
  if (folders.includes(true)) return;
  const hasConfig = entries.some(({ name }) => isConfigName(name));
  const contents = await Promise.all(models.map((name) => namesIn(path.join(directory, name))));
  if (!hasConfig && !contents.flat().some((name) => name.endsWith('.onnx'))) return;
  const parent = path.dirname(path.resolve(directory));
  throw new RepositoryError(
    `'${directory}' is a model, not a repository of models: give its parent directory: npx tensorgate serve ${shellWord(parent)}`,
  );
}

/** @param name one of `listNames` */
export function readModel(repository: string, name: string): Promise<ModelFolder> {
  return readFolder(modelDirectory(repository, name), name);
}

/** The folder of a model, which it may share with its parts. */
export function modelDirectory(repository: string, name: string): string {
  return path.join(repository, partOf(name).folder);
}

/** The folder with the files of a version. */
export function versionFolder({ directory, madeConfig }: ModelFolder, version: string): string {
  return madeConfig === undefined ? path.join(directory, version) : directory;
}

/** Reads a model's folder, wherever it lies. */
export async function readFolder(directory: string, name: string): Promise<ModelFolder> {
  const listed = await readEntries(directory).catch(refusedOrAbsent);
  const entries = listed === 'refused' ? [] : listed;
  const versions: string[] = [];
  for (const entry of entries) {
    if (isVersionName(entry.name) && (await isDirectory(directory, entry))) versions.push(entry.name);
  }
  const names = entries.map((entry) => entry.name);
  const { folder, part } = partOf(name);
  const text = versions.length === 0 ? await readExportedFolder(directory, folder) : undefined;
  if (text !== undefined) {
    const madeConfig = text.configs.get(part);
    const problem = madeConfig === undefined ? (text.problem ?? `'${folder}' has no part '${part}'`) : undefined;
    return { name, directory, versions: [EXPORT_VERSION], configPath: undefined, madeConfig, problem };
  }
  const configs = CONFIG_NAMES.filter((entry) => names.includes(entry));
  const config = configs[0];
  return {
    name,
    directory,
    versions: versions.sort(compareVersions),
    configPath: config === undefined ? undefined : path.join(directory, config),
    problem:
      listed === 'refused'
        ? `${directory} cannot be read: check its permissions`
        : problemOf(name, versions, { names, configs }),
  };
}

function problemOf(
  name: string,
  versions: readonly string[],
  { names, configs }: { readonly names: readonly string[]; readonly configs: readonly string[] },
): string | undefined {
  if (!MODEL_NAME.test(name)) {
    return `'${name}' is no model name: use letters, digits, '.', '_' and '-', at most 128, beginning with a letter or digit`;
  }
  if (configs.length > 1) return `${configs.length === 2 ? 'both ' : ''}${configs.join(' and ')} are there: keep one`;
  if (versions.length > 0) return undefined;
  const loose = names.find((file) => file.endsWith('.onnx'));
  const hint = loose === undefined ? '' : `; '${loose}' lies beside it: move it to 1/model.onnx`;
  return `no version: expected a directory such as 1/ with model.onnx in it${hint}`;
}

export function isModelName(name: string): boolean {
  return MODEL_NAME.test(name);
}

function isConfigName(name: string): boolean {
  return (CONFIG_NAMES as readonly string[]).includes(name);
}

/** Whether a directory has what only models have: versions, or a configuration. */
async function isModelFolder(directory: string): Promise<boolean> {
  return (await namesIn(directory)).some((name) => isVersionName(name) || isConfigName(name));
}

async function namesIn(directory: string): Promise<string[]> {
  return (await entriesIn(directory)).map(({ name }) => name);
}

/** None where the directory is gone meanwhile, or may not be read. */
async function entriesIn(directory: string): Promise<Dirent[]> {
  return (await readEntries(directory).catch(absent)) ?? [];
}

async function isDirectory(parent: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  const target = await statFile(path.join(parent, entry.name));
  return target?.isDirectory() === true; // otherwise a dangling link
}
