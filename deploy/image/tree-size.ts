import fs from 'node:fs';
import path from 'node:path';

/** Bytes of all files under `directory`; a file with two names counts once. */
export function treeBytes(directory: string): number {
  const counted = new Set<number>();
  let bytes = 0;
  for (const entry of fs.readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const { size, ino } = fs.lstatSync(path.join(entry.parentPath, entry.name));
    if (!counted.has(ino)) bytes += size;
    counted.add(ino);
  }
  return bytes;
}

export interface Part {
  /** From the root of the tree. */
  readonly name: string;
  readonly bytes: number;
}

/** What the tree is made of, the largest first: the folders at its root, of `app` and of its packages one by one. */
export function partsOf(directory: string): readonly Part[] {
  const opened = ['', 'usr', 'usr/local', 'app', 'app/node_modules'];
  return opened
    .flatMap((folder) => namesIn(directory, folder).map((name) => path.posix.join(folder, name)))
    .filter((name) => !opened.includes(name))
    .map((name) => ({ name, bytes: bytesOf(path.join(directory, name)) }))
    .filter(({ bytes }) => bytes > 0)
    .sort((a, b) => b.bytes - a.bytes);
}

function namesIn(directory: string, folder: string): readonly string[] {
  const full = path.join(directory, folder);
  return fs.existsSync(full) ? fs.readdirSync(full) : [];
}

function bytesOf(file: string): number {
  const status = fs.lstatSync(file);
  return status.isDirectory() ? treeBytes(file) : status.isFile() ? status.size : 0;
}
