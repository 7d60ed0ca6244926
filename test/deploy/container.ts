/**
 * Starts the file tree of an image as a container engine would, without one: a read-only root of its own, the
 * user and the environment of its Dockerfile, no capabilities, a memory file system at /dev/shm, and the models mounted
 * read-only. It shares network and process numbers with the tests. Needs root, for mounts and for becoming another user.
 */

import { spawnSync } from 'node:child_process';
import type { ImageConfig } from './dockerfile.ts';

/** $1 is the tree, $2 the models; the environment and the program follow. */
const SCRIPT = `
set -e
tree=$1 models=$2
shift 2
mount --bind "$tree" "$tree"
mount -o remount,bind,ro "$tree"
mount -t tmpfs -o size=64k,mode=755 tmpfs "$tree/dev"
for device in null urandom; do : > "$tree/dev/$device"; mount --bind "/dev/$device" "$tree/dev/$device"; done
mkdir "$tree/dev/shm"
mount -t tmpfs -o size=256m,mode=1777 tmpfs "$tree/dev/shm"
mount --bind /proc "$tree/proc"
mount --bind "$models" "$tree/models"
mount -o remount,bind,ro "$tree/models"
exec setpriv --no-new-privs env -i "$@"
`;

/** Why no tree can be started here, if so. */
export function obstacle(): string | undefined {
  if (process.platform !== 'linux') return 'this is not Linux';
  if (process.getuid?.() !== 0) return 'root is needed, for mounts';
  const { status } = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  return status === 0 ? undefined : 'mounts in a namespace of their own are not allowed here';
}

export interface Container {
  readonly tree: string;
  /** A repository of models, mounted at /models. */
  readonly models: string;
  readonly config: ImageConfig;
}

/** Starts the entrypoint, which becomes this very process: signals and the exit code are its. Its arguments are to follow. */
export function containerCommand({ tree, models, config }: Container): readonly [string, ...string[]] {
  const environment = Object.entries(config.env).map(([name, value]) => `${name}=${value}`);
  const [program = '', ...args] = config.entrypoint;
  const { stdout: chroot } = spawnSync('sh', ['-c', 'command -v chroot'], { encoding: 'utf8' });
  return [
    'unshare',
    ...['--mount', '--propagation', 'private', 'sh', '-c', SCRIPT, 'sh', tree, models],
    ...[...environment, chroot.trim(), `--userspec=${config.user}`, tree],
    ...[`${config.env['PATH']}/${program}`, ...args],
  ];
}
