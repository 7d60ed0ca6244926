/** The shared libraries of the system that programs need, as the loader itself reports them (`ldd`). */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** Such as `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f…)`, or the loader, which has no arrow. */
const RESOLVED = /^\s*(?:\S+ => )?(?<file>\/\S+) \(0x[0-9a-f]+\)$/gm;
const MISSING = /^\s*(?<name>\S+) => not found$/gm;

/**
 * The libraries of `programs`, the loader among them, by the paths under which they are looked for.
 * @throws Error that names a library which is missing, and what wants it.
 */
export function sharedLibraries(programs: readonly string[]): readonly string[] {
  const found = new Set<string>();
  for (const program of programs) {
    const printed = execFileSync('ldd', [program], { encoding: 'utf8' });
    for (const { groups } of printed.matchAll(MISSING)) throw new Error(`${program} needs ${groups?.['name']}`);
    for (const { groups } of printed.matchAll(RESOLVED)) found.add(groups?.['file'] ?? '');
  }
  return [...found].sort();
}

/** A package of Debian that files belong to. */
export interface DebianPackage {
  readonly name: string;
  /** Its entry in dpkg's books. */
  readonly status: string;
  /** The file with its licence. */
  readonly copyright: string;
}

/** The packages of `files`; none where dpkg is not there, or does not know them. */
export function debianPackages(files: readonly string[]): readonly DebianPackage[] {
  // Since /lib is a link to /usr/lib, a file has two paths. dpkg knows only one.
  const paths = files.flatMap((file) => [file, fs.realpathSync(file), fs.realpathSync(file).replace(/^\/usr/, '')]);
  const owners = new Set(query('dpkg-query', ['--search', ...paths]).map((line) => line.split(/[:,]/, 1)[0] ?? ''));
  return [...owners].sort().flatMap((name) => {
    const copyright = path.join('/usr/share/doc', name, 'copyright');
    const status = query('dpkg-query', ['--status', name]).join('\n');
    return status === '' || !fs.existsSync(copyright) ? [] : [{ name, status, copyright }];
  });
}

/** The lines that it prints, also where it complains of some of its arguments. */
function query(program: string, args: readonly string[]): readonly string[] {
  try {
    return linesOf(execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch (error) {
    const { stdout } = error as { stdout?: string };
    return linesOf(stdout ?? '');
  }
}

function linesOf(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}
