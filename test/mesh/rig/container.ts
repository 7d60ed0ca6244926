import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openLog } from './daemon.ts';
import { type Environment, expand } from './environment.ts';
import type { Image, Mount } from './image.ts';
import type { ContainerSpec, SecurityContext } from './pod-spec.ts';

const RUNTIME = fileURLToPath(new URL('container.sh', import.meta.url));

export interface ContainerSetting {
  readonly spec: ContainerSpec;
  readonly image: Image;
  readonly env: Environment;
  /** The folder of each volume of the pod. */
  readonly volumes: ReadonlyMap<string, string>;
  readonly podSecurity: SecurityContext | undefined;
  /** The name of the pod's network namespace. */
  readonly network: string;
  /** An empty folder, over which the container's file tree is mounted. */
  readonly root: string;
  readonly log: string;
}

/**
 * A container: the pod's network, a file tree of its own, the user and privileges that its manifest gives it. Memory and CPU
 * are not limited.
 */
export class Container {
  readonly #setting: ContainerSetting;
  #process: ChildProcess | undefined;
  /** How often it was started again. */
  restarts = -1;

  constructor(setting: ContainerSetting) {
    this.#setting = setting;
  }

  get name(): string {
    return this.#setting.spec.name;
  }

  get spec(): ContainerSpec {
    return this.#setting.spec;
  }

  /** The number of its first process; `undefined` where it does not run. */
  get pid(): number | undefined {
    return this.isRunning ? this.#process?.pid : undefined;
  }

  get isRunning(): boolean {
    const process = this.#process;
    return process !== undefined && process.exitCode === null && process.signalCode === null;
  }

  /** Starts it. Resolves with the exit code when it has ended; after a signal, with 128 and its number. */
  start(): Promise<number> {
    this.restarts += 1;
    const { spec, image, env, root, network, log } = this.#setting;
    fs.mkdirSync(root, { recursive: true });
    const command = spec.command ?? image.entrypoint;
    const args = (spec.args ?? []).map((arg) => expand(arg, env));
    const access = spec.securityContext?.readOnlyRootFilesystem === true ? 'ro' : 'rw';
    const mounts = this.#mounts().map(
      ({ source, target, writable }) => `${source}=${target}=${writable ? 'rw' : 'ro'}`,
    );
    const output = openLog(log);
    const child = spawn(
      'nsenter',
      [
        `--net=/run/netns/${network}`,
        'unshare',
        '--mount',
        RUNTIME,
        root,
        access,
        ...mounts,
        '--',
        ...this.#privileges(),
        'env',
        `--chdir=${spec.workingDir ?? image.workingDir}`,
        ...command.map((word) => expand(word, env)),
        ...args,
      ],
      { env, stdio: ['ignore', output, output] },
    );
    fs.closeSync(output);
    this.#process = child;
    return once(child, 'exit').then(([code, signal]) => (typeof code === 'number' ? code : 128 + signalNumber(signal)));
  }

  kill(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Whether it ends within that time. */
  async endsWithin(ms: number): Promise<boolean> {
    if (!this.isRunning || this.#process === undefined) return true;
    try {
      await once(this.#process, 'exit', { signal: AbortSignal.timeout(ms) });
    } catch {
      return !this.isRunning;
    }
    return true;
  }

  /** The folder behind a path at which a volume is mounted. @throws Error where none is */
  volumeAt(path: string): string {
    const mount = this.#mounts().find(({ target }) => target === path);
    if (mount === undefined) throw new Error(`${this.name} has no volume at ${path}`);
    return mount.source;
  }

  /** Runs a command inside, as its user. Resolves with the exit code. */
  async exec(command: readonly string[], ms: number): Promise<number> {
    const { pid } = this;
    if (pid === undefined) return 1;
    const output = openLog(this.#setting.log);
    const target = ['--target', String(pid), '--net', '--mount', '--root', '--wd'];
    const child = spawn('nsenter', [...target, ...this.#privileges(), ...command], {
      env: this.#setting.env,
      stdio: ['ignore', output, output],
      timeout: ms,
    });
    fs.closeSync(output);
    const [code] = await once(child, 'exit');
    return typeof code === 'number' ? code : 1;
  }

  #mounts(): readonly Mount[] {
    const { spec, image, volumes } = this.#setting;
    const mounted = (spec.volumeMounts ?? []).map(({ name, mountPath, subPath = '', readOnly }) => {
      const folder = volumes.get(name);
      if (folder === undefined) throw new Error(`${spec.name} mounts ${name}, which is no volume of its pod`);
      return {
        source: subPath === '' ? folder : `${folder}/${subPath}`,
        target: mountPath,
        writable: readOnly !== true,
      };
    });
    // Parents before what lies in them.
    return [...image.mounts, ...mounted.toSorted((a, b) => a.target.length - b.target.length)];
  }

  #privileges(): readonly string[] {
    const { spec, image, podSecurity } = this.#setting;
    const { runAsUser, runAsGroup, allowPrivilegeEscalation, capabilities } = spec.securityContext ?? {};
    const user = runAsUser ?? podSecurity?.runAsUser ?? image.user;
    const group = runAsGroup ?? podSecurity?.runAsGroup ?? user;
    const groups = podSecurity?.fsGroup === undefined ? ['--clear-groups'] : [`--groups=${podSecurity.fsGroup}`];
    const dropsAll = user !== 0 && capabilities?.drop?.includes('ALL') === true;
    return [
      'setpriv',
      `--reuid=${user}`,
      `--regid=${group}`,
      ...groups,
      ...(allowPrivilegeEscalation === false ? ['--no-new-privs'] : []),
      ...(dropsAll ? ['--bounding-set=-all', '--inh-caps=-all'] : []),
      '--',
    ];
  }
}

function signalNumber(signal: NodeJS.Signals): number {
  return signal === 'SIGKILL' ? 9 : 15;
}
