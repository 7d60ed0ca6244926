/** Keeps compiled code from one start to the next, for this process and its runners. */

import { mkdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';

/**
 * Node reads and writes the cache from here on; without a directory for it, it compiles as ever. The directory is the user's own:
 * Node's default is one for all users of the machine, and code in a cache is executed. `NODE_COMPILE_CACHE` names another
 * directory, and `NODE_DISABLE_COMPILE_CACHE=1` switches the cache off.
 */
export function useCompileCache(env: NodeJS.ProcessEnv): void {
  if (env['NODE_COMPILE_CACHE'] !== undefined) return;
  const caches = cachesOf(env);
  if (caches === undefined) return;
  const directory = path.join(caches, 'tensorgate');
  if (!isMade(caches) || !isMade(directory)) return;
  enableCompileCache(directory);
  // Runners have the environment of their server.
  env['NODE_COMPILE_CACHE'] = directory;
}

/** The directory of the user's caches, by the XDG Base Directory Specification; `undefined` for a user without a home. */
function cachesOf({ XDG_CACHE_HOME: named = '' }: NodeJS.ProcessEnv): string | undefined {
  if (path.isAbsolute(named)) return named;
  try {
    return path.join(homedir(), '.cache');
  } catch {
    // The user has no entry in /etc/passwd and no HOME: containers may run as any number.
    return undefined;
  }
}

/** Not recursive: Node's recursive mkdir never returns in some file systems, such as /proc. */
function isMade(directory: string): boolean {
  try {
    mkdirSync(directory, { mode: 0o700 });
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EEXIST';
  }
}
