/**
 * Network, mounts and processes of their own for everything that the rig starts. The kernel ends all of it when the
 * sandbox's first process ends, in whatever way, so there is nothing that could be left behind: no namespace, no interface,
 * no process, no mounted folder. Runs side by side do not see each other.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';

const MARK = 'TENSORGATE_MESH_SANDBOX';
const UNSHARE = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** Files of the run. A memory file system that only the sandbox sees; the path is short because it holds Unix sockets. */
export const WORK = '/mnt/mesh';

/** Why there can be no sandbox here; `undefined` where there can. */
export function obstacle(): string | undefined {
  if (process.platform !== 'linux') return `it needs Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'it needs root, to make network namespaces';
  const attempt = ['--pdeathsig', 'KILL', ...UNSHARE, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'];
  const { status, stderr, error } = spawnSync('setpriv', attempt, { encoding: 'utf8' });
  if (status === 0) return undefined;
  return `namespaces cannot be made here: ${(error?.message ?? stderr).trim()}`;
}

export function isInside(): boolean {
  return process.env[MARK] !== undefined;
}

/** Runs this very program again, with the same arguments, inside a sandbox. Resolves with its exit code. */
export async function runInside(program: string, args: readonly string[]): Promise<number> {
  const command = ['--pdeathsig', 'KILL', ...UNSHARE, process.execPath, program, ...args];
  const child: ChildProcess = spawn('setpriv', command, {
    stdio: 'inherit',
    env: { ...process.env, [MARK]: String(process.pid) },
  });
  // A terminal sends its signal to both; a signal to this process only means the sandbox, which cannot be asked.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGKILL'));
  const [code, signal] = await once(child, 'exit');
  return typeof code === 'number' ? code : signal === 'SIGKILL' ? 130 : 1;
}

/** Makes the sandbox ready: memory for files, a place for the names of network namespaces, and an `/etc/hosts` of its own. */
export function furnish(): void {
  mountMemory('/mnt');
  fs.mkdirSync(WORK, { mode: 0o755 });
  fs.mkdirSync('/run/netns', { recursive: true });
  mountMemory('/run/netns');
  fs.writeFileSync(`${WORK}/hosts`, '127.0.0.1 localhost\n', { mode: 0o644 });
  execFileSync('mount', ['--bind', `${WORK}/hosts`, '/etc/hosts']);
}

function mountMemory(folder: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', folder]);
}
