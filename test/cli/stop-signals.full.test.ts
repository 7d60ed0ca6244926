/** Signals to npm and npx, which start the server through a shell of theirs. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { isAlive } from '../support/process-tree.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PORTS = ['--grpc-port', '0', '--http-port', '0'];
const SERVE = ['serve', '--model-repository', 'models', ...PORTS, '--lame-duck-ms', '1500'];

const hasBash = spawnSync('bash', ['-c', 'true']).status === 0;

/** A shell that becomes the command it runs leaves the server as a child of npm, which forwards each signal to it. */
const SHELLS = hasBash ? ['sh', 'bash'] : ['sh'];

const LAUNCHERS = {
  'npx tensorgate': ['npx', 'tensorgate'],
  'npm run tensorgate': ['npm', 'run', '-s', 'tensorgate', '--'],
} as const;

interface Launched {
  readonly child: ChildProcess;
  /** The process id of the server itself. */
  readonly pid: number;
  readonly http: string;
  /** Resolves with the log of the server when it has ended. */
  readonly log: Promise<string>;
}

async function launch(command: readonly string[], shell: string): Promise<Launched> {
  const child = spawn(command[0] ?? '', [...command.slice(1), ...SERVE], {
    cwd: ROOT,
    env: { ...process.env, npm_config_cache: temporaryDirectory(), npm_config_script_shell: shell },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group of its own, which can be signalled as a terminal does.
    detached: true,
  });
  onTestFinished(() => killGroup(child));
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (part) => {
    text += part;
  });
  // The server outlives npm, and holds this open until it ends.
  const log = once(child.stderr, 'end').then(() => text);
  for await (const line of createInterface(child.stdout)) {
    const [, http] = /^tensorgate ready: .*http (\S+)/.exec(line) ?? [];
    if (http !== undefined) return { child, pid: serverIn(child.pid ?? 0), http, log };
  }
  throw new Error(`the server ended before it was ready: ${await log}`);
}

/** The oldest process of the group that is Node with `serve` as its command. */
function serverIn(group: number): number {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.map(Number).filter((pid) => groupOf(pid) === group && argumentsOf(pid)[2] === 'serve');
  return Math.min(...found);
}

function groupOf(pid: number): number | undefined {
  return Number(read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ')[2]);
}

function argumentsOf(pid: number): string[] {
  return read(`/proc/${pid}/cmdline`).split('\0');
}

function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // gone meanwhile
  }
}

function killGroup(child: ChildProcess): void {
  try {
    process.kill(-(child.pid ?? 0), 'SIGKILL');
  } catch {
    // It has ended.
  }
}

const CASES = Object.keys(LAUNCHERS).flatMap((launcher) =>
  SHELLS.flatMap((shell) =>
    [
      { what: 'SIGTERM', signal: 'SIGTERM', toGroup: false },
      { what: 'Ctrl-C', signal: 'SIGINT', toGroup: true },
    ].map((each) => ({ launcher: launcher as keyof typeof LAUNCHERS, shell, ...each })),
  ),
);

test.skipIf(process.platform !== 'linux').each(CASES)(
  '$what to $launcher with the shell $shell makes the server drain, and end by itself',
  async ({ launcher, shell, signal, toGroup }) => {
    const { child, pid, http, log } = await launch(LAUNCHERS[launcher], shell);
    expect(argumentsOf(pid)).toContain('--lame-duck-ms');

    process.kill(toGroup ? -(child.pid ?? 0) : (child.pid ?? 0), signal);
    while ((await fetch(`http://${http}/readyz`)).status === 200) await sleep(10);
    const { status } = await fetch(`http://${http}/v2/models/cifar10`);

    expect(status).toBe(200);
    expect(await log).not.toMatch(/"level":"(error|fatal)"/);
    while (isAlive(pid)) await sleep(10);
  },
);
