/**
 * Whether files are the same as before, without reading them: their names, sizes, times and inodes. A file that was replaced
 * or rewritten differs; one that is being written differs from one look to the next.
 */

import fs from 'node:fs/promises';
import path from 'node:path';
import { isVersionName } from './model-repository.ts';

/** Deeper than external weights and golden inputs lie; and an end to links that lead back. */
const MAX_DEPTH = 4;

/** By version number: of the version's files, and of those that all versions share (the configuration, label files). */
export type ModelFingerprint = ReadonlyMap<number, string>;

/** Looks at a model's folder. One that is gone has no versions. */
export async function fingerprintModel(directory: string): Promise<ModelFingerprint> {
  const names = await namesIn(directory);
  const shared = await fingerprintShared(directory, names);
  const versions = names.filter(isVersionName).map(async (name) => {
    return [Number(name), shared + (await fingerprint(path.join(directory, name), name, 1))] as const;
  });
  return new Map(await Promise.all(versions));
}

/** The same of one version. */
export async function fingerprintVersion(directory: string, version: string): Promise<string> {
  const shared = await fingerprintShared(directory, await namesIn(directory));
  return shared + (await fingerprint(path.join(directory, version), version, 1));
}

async function fingerprintShared(directory: string, names: readonly string[]): Promise<string> {
  const shared = names.filter((name) => !isVersionName(name));
  return (await Promise.all(shared.map((name) => fingerprint(path.join(directory, name), name, 1)))).join('');
}

/** What hides itself is none of ours: editors and volume mounts keep their own things so. */
async function namesIn(directory: string): Promise<string[]> {
  const names = await fs.readdir(directory).catch((): string[] => []);
  return names.filter((name) => !name.startsWith('.')).sort();
}

async function fingerprint(file: string, name: string, depth: number): Promise<string> {
  const stat = await fs.stat(file, { bigint: true }).catch(() => undefined);
  if (stat === undefined) return `${name} is gone\n`;
  if (!stat.isDirectory()) return `${name} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino}\n`;
  if (depth === MAX_DEPTH) return `${name}/ is not looked into\n`;
  const within = await Promise.all(
    (await namesIn(file)).map((inner) => fingerprint(path.join(file, inner), `${name}/${inner}`, depth + 1)),
  );
  return `${name}/\n${within.join('')}`;
}
