import fs from 'node:fs';
import path from 'node:path';

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly link?: boolean }>>;
}

/**
 * The folders under `node_modules` that the program needs to run, from `root`: packages of the lock file that are not
 * only for development, and are installed. Optional packages of other platforms are not, and no package of `src` is.
 */
export function productionPackages(root: string): readonly string[] {
  const lock = JSON.parse(fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as Lock;
  return Object.entries(lock.packages)
    .filter(
      ([folder, { dev, link }]) =>
        folder.startsWith('node_modules/') && dev !== true && link !== true && fs.existsSync(path.join(root, folder)),
    )
    .map(([folder]) => folder)
    .sort();
}
