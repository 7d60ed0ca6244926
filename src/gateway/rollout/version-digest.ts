import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { REPORT_FILE } from '../repository/version-report.ts';

/**
 * SHA-256 of the model file of a version and of what lies beside it, such as external weights; not of its report, nor of
 * what is in folders.
 * @throws Error where they cannot be read.
 */
export async function digestVersion(modelPath: string): Promise<string> {
  const directory = path.dirname(modelPath);
  const entries = await fs.readdir(directory, { withFileTypes: true });
  const names = entries.filter(
    (entry) => !entry.isDirectory() && entry.name !== REPORT_FILE && !entry.name.startsWith('.'),
  );
  const hash = createHash('sha256');
  for (const { name } of names.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = path.join(directory, name);
    // Links to directories, sockets and what else there may be.
    if (!(await fs.stat(file)).isFile()) continue;
    const ofFile = createHash('sha256');
    await pipeline(createReadStream(file), ofFile);
    hash.update(`${name}\0${ofFile.digest('hex')}\n`);
  }
  return hash.digest('hex');
}
