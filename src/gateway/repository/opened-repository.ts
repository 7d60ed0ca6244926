/**
 * The repository behind a path that a user names: the path itself if it is one, otherwise a temporary one with links to the one
 * model that lies there. Nothing is copied, and weights beside the model stay where they are.
 */

import type { Dirent } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { shellWord } from '../../shell-word.ts';
import { CONFIG_NAMES } from './config/config-file.ts';
import { isInnerPath } from './config/inner-path.ts';
import { absent, readEntries, statFile } from './disk.ts';
import { readExportedFolder } from './exported-folder.ts';
import { readExternalLocations } from './external-data.ts';
import { foreignAmong } from './foreign-format.ts';
import { MODEL_PLACE, RepositoryError } from './model-repository.ts';
import { isVersionName } from './version-number.ts';

export interface OpenedRepository {
  readonly directory: string;
  /** Removes the links; the model stays. */
  close(): Promise<void>;
}

/** Folders of exports in which the ONNX files may lie: the root (KServe, MLflow, Optimum), and `onnx/` (Hugging Face). */
const PLACES = ['', 'onnx'] as const;
/** The main file of such a folder; variants (`model_quantized.onnx`) lie beside it. */
const MAIN_FILE = 'model.onnx';

/**
 * @param what an ONNX file, a folder with one model, or a repository
 * @throws RepositoryError where there is no such path, or it is not clear which model is meant
 */
export async function openRepository(what: string): Promise<OpenedRepository> {
  const target = path.resolve(what);
  const stat = await statFile(target);
  if (stat === undefined) {
    throw new RepositoryError(
      `'${what}' does not exist: give an ONNX file, a folder with one model, or a repository that holds ${MODEL_PLACE}`,
    );
  }
  if (!stat.isDirectory()) return linkModel(target, modelNameOf(path.basename(target, '.onnx')));
  if (await isRepository(target)) return { directory: target, close: async () => {} };
  const name = folderName(target);
  const text = await readExportedFolder(target, name);
  // Without a chain, the model serves tensors.
  if (text !== undefined && text.problem === undefined) return linkFolder(target, name);
  const file = await findModel(target);
  if (file === undefined) await refuseForeign(target);
  return file === undefined ? { directory: target, close: async () => {} } : linkModel(file, name);
}

/** Whether versions lie in it: of its models, or its own, which `listNames` refuses with a reason. */
async function isRepository(directory: string): Promise<boolean> {
  const entries = await entriesOf(directory);
  if (entries.some(({ name }) => isVersionName(name))) return true;
  const inner = await Promise.all(entries.filter(mayBeFolder).map(({ name }) => entriesOf(path.join(directory, name))));
  return inner.flat().some(({ name }) => isVersionName(name));
}

/** The ONNX file of a folder with one model; `undefined` where there is none. */
async function findModel(directory: string): Promise<string | undefined> {
  for (const place of PLACES) {
    const folder = path.join(directory, place);
    const entries = await entriesOf(folder);
    const names = entries.map(({ name }) => name).filter((name) => name.endsWith('.onnx'));
    const stats = await Promise.all(names.map((name) => statFile(path.join(folder, name))));
    // A link that leads nowhere is named: its model says what is wrong.
    const files = names.filter((_, index) => stats[index]?.isDirectory() !== true).sort();
    const [first] = files;
    if (first === undefined) continue;
    refuseConfig(directory, place === '' ? entries : [], first);
    if (files.length === 1 || files.includes(MAIN_FILE)) {
      return path.join(folder, files.length === 1 ? first : MAIN_FILE);
    }
    throw new RepositoryError(
      `'${folder}' holds ${files.length} ONNX files and no ${MAIN_FILE}: choose one, such as npx tensorgate serve ${shellWord(path.join(folder, first))}`,
    );
  }
  return undefined;
}

/** An export of another framework: a folder with its files, and nothing that is a repository. */
async function refuseForeign(directory: string): Promise<void> {
  const foreign = foreignAmong((await entriesOf(directory)).map(({ name }) => name));
  if (foreign === undefined) return;
  const file = shellWord(path.join(directory, foreign.name));
  throw new RepositoryError(`'${directory}' holds no ONNX file: ${file} ${foreign.what}`);
}

/** A configuration of Triton beside the file would be ignored: it belongs to a model with versions. JSON is Hugging Face's own. */
function refuseConfig(directory: string, entries: readonly Dirent[], file: string): void {
  const config = CONFIG_NAMES.find((name) => !name.endsWith('.json') && entries.some((entry) => entry.name === name));
  if (config === undefined) return;
  const [folder, parent] = [shellWord(directory), shellWord(path.dirname(directory))];
  const move = `mkdir ${folder}/1 && mv ${folder}/${shellWord(file)} ${folder}/1/${MAIN_FILE}`;
  throw new RepositoryError(
    `'${directory}' holds ${config} and ${file}, but no version: run ${move}, and serve the parent directory: npx tensorgate serve ${parent}`,
  );
}

/** A repository with one link to a folder, which is read as it is. */
async function linkFolder(folder: string, name: string): Promise<OpenedRepository> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorgate-serve-'));
  await fs.symlink(folder, path.join(directory, name));
  return { directory, close: () => fs.rm(directory, { recursive: true, force: true }) };
}

/** A repository of links: the model as version 1, and the files that it names as its weights. */
async function linkModel(file: string, name: string): Promise<OpenedRepository> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorgate-serve-'));
  const close = (): Promise<void> => fs.rm(directory, { recursive: true, force: true });
  try {
    const version = path.join(directory, name, '1');
    await fs.mkdir(version, { recursive: true });
    await fs.symlink(file, path.join(version, MAIN_FILE));
    for (const beside of await weightsOf(file)) {
      await fs.symlink(path.join(path.dirname(file), beside), path.join(version, beside));
    }
    return { directory, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Names in the model's directory. A location outside of it is ONNX Runtime's to refuse. */
async function weightsOf(file: string): Promise<ReadonlySet<string>> {
  const locations = [...(await readExternalLocations(file))].filter(isInnerPath);
  const names = new Set(locations.map((location) => path.normalize(location).split(path.sep)[0] ?? ''));
  for (const none of ['', '.', MAIN_FILE]) names.delete(none);
  return names;
}

/** A folder's own name; a snapshot in Hugging Face's cache has the name of its repository. */
function folderName(directory: string): string {
  const cached = /\/models--(?:[^/]+--)?(?<name>[^/]+)\/snapshots\/[^/]+$/.exec(directory)?.groups?.['name'];
  return modelNameOf(cached ?? path.basename(directory));
}

const MAX_NAME = 128;

/** The nearest legal name of a model; the same for the same text. */
function modelNameOf(text: string): string {
  const legal = text.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  return legal.slice(0, MAX_NAME).replace(/-+$/, '') || 'model';
}

function mayBeFolder(entry: Dirent): boolean {
  return !entry.name.startsWith('.') && (entry.isDirectory() || entry.isSymbolicLink());
}

/** None where it may not be read: `listNames` says why. */
async function entriesOf(directory: string): Promise<Dirent[]> {
  return (await readEntries(directory).catch(absent)) ?? [];
}
