/**
 * Whether files are the same as before, without reading them: their names, sizes, times and inodes. A file that was replaced
 * or rewritten differs; one that is being written differs from one look to the next.
 */

import fs from 'node:fs/promises';
import path from 'node:path';
import { absent, DISK, statFile } from './disk.ts';
import { EXPORT_VERSION } from './exported-folder.ts';
import { isVersionName } from './version-number.ts';

/** Deeper than external weights and golden inputs lie; and an end to links that lead back. */
const MAX_DEPTH = 4;

/** By version: of the version's files, and of those that all versions share (the configuration, label files). */
export type ModelFingerprint = ReadonlyMap<string, string>;

/** Looks at a model's folder. One that is gone has no versions. */
export async function fingerprintModel(directory: string): Promise<ModelFingerprint> {
  const names = await namesIn(directory);
  const shared = await fingerprintShared(directory, names);
  // The files lie in the folder itself, as in an export of Hugging Face.
  if (!names.some(isVersionName)) return new Map([[EXPORT_VERSION, shared]]);
  const versions = names.filter(isVersionName).map(async (name) => {
    return [name, shared + (await fingerprint(path.join(directory, name), name, 1))] as const;
  });
  return new Map(await Promise.all(versions));
}

/** The same of one version. */
export async function fingerprintVersion(directory: string, version: string): Promise<string> {
  const names = await namesIn(directory);
  const shared = await fingerprintShared(directory, names);
  if (!names.some(isVersionName)) return shared;
  return shared + (await fingerprint(path.join(directory, version), version, 1));
}

async function fingerprintShared(directory: string, names: readonly string[]): Promise<string> {
  const shared = names.filter((name) => !isVersionName(name));
  return (await Promise.all(shared.map((name) => fingerprint(path.join(directory, name), name, 1)))).join('');
}

/** Directories of file systems, file servers and Python: they change without the model. */
const FOREIGN: ReadonlySet<string> = new Set(['lost+found', '@eaDir', '__pycache__']);

/** Hidden files belong to editors and volume mounts. */
async function namesIn(directory: string): Promise<string[]> {
  const names = (await DISK.run(`reading ${directory}`, () => fs.readdir(directory)).catch(absent)) ?? [];
  return names.filter((name) => !name.startsWith('.') && !FOREIGN.has(name)).sort();
}

async function fingerprint(file: string, name: string, depth: number): Promise<string> {
  const stat = await statFile(file);
  if (stat === undefined) return `${name} is gone\n`;
  if (!stat.isDirectory()) return `${name} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino}\n`;
  if (depth === MAX_DEPTH) return `${name}/ is not looked into\n`;
  const within = await Promise.all(
    (await namesIn(file)).map((inner) => fingerprint(path.join(file, inner), `${name}/${inner}`, depth + 1)),
  );
  return `${name}/\n${within.join('')}`;
}
