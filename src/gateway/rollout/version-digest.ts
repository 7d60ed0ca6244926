import { createHash } from 'node:crypto';
import path from 'node:path';
import { digestFile, readEntries, statFile } from '../repository/disk.ts';
import { REPORT_FILE } from '../repository/version-report.ts';

/**
 * SHA-256 of the model file of a version and the files beside it, such as external weights, without its report and subfolders.
 * @throws Error if they cannot be read.
 */
export async function digestVersion(modelPath: string): Promise<string> {
  const directory = path.dirname(modelPath);
  const entries = await readEntries(directory);
  const names = entries.filter(
    (entry) => !entry.isDirectory() && entry.name !== REPORT_FILE && !entry.name.startsWith('.'),
  );
  const hash = createHash('sha256');
  for (const { name } of names.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = path.join(directory, name);
    // Skips links to directories, sockets and other special files.
    if ((await statFile(file))?.isFile() !== true) continue;
    hash.update(`${name}\0${await digestFile(file)}\n`);
  }
  return hash.digest('hex');
}
