/** Servers as child processes of their own, and what they cost: CPU seconds and resident memory of the whole process tree. */

import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface ServerProcess {
  readonly port: number;
  readonly pid: number;
  /** User and system time of the process and all its living descendants, in microseconds (the kernel counts in steps of 10 ms). */
  cpuUs(): number;
  /** The same of the process without its descendants. */
  ownCpuUs(): number;
  /** Resident memory of only the process itself, in MiB. */
  rssMiB(): number;
  stop(): Promise<void>;
}

/** The gateway on a repository, as the package runs it: built, from its command line. */
export function startGateway(repository: string, flags: readonly string[] = []): Promise<ServerProcess> {
  const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
  const args = [
    cli,
    'serve',
    '--model-repository',
    repository,
    '--grpc-port',
    '0',
    '--http-port',
    '0',
    '--log-level',
    'error',
    ...flags,
  ];
  return startServer(args, /grpc \S+:(\d+)/);
}

/** A process that computes without end on the core of the servers. */
export function startNeighbour(): { kill(): void } {
  const child = spawn('taskset', ['-c', SERVER_CORE, process.execPath, '-e', 'for (;;);'], { stdio: 'ignore' });
  return { kill: () => void child.kill('SIGKILL') };
}

/** An empty grpc-js server that sends each message back. */
export function startEcho(): Promise<ServerProcess> {
  return startServer([fileURLToPath(new URL('./echo-server.ts', import.meta.url))], /port (\d+)/);
}

/** Our own transport, which only sends each message back. */
export function startHttp2Echo(): Promise<ServerProcess> {
  return startServer([fileURLToPath(new URL('./http2-echo-server.ts', import.meta.url))], /port (\d+)/);
}

/** The core that servers are pinned to; the load generator takes the other. */
const SERVER_CORE = '0';
export const CLIENT_CORE = '1';

async function startServer(args: readonly string[], ready: RegExp): Promise<ServerProcess> {
  const child = spawn('taskset', ['-c', SERVER_CORE, process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with code ${code} before it was ready`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = ready.exec(line);
      if (found !== null) resolve(Number(found[1]));
    });
  });
  const pid = child.pid ?? 0;
  return {
    port,
    pid,
    cpuUs: () => treeOf(pid).reduce((sum, each) => sum + cpuUsOf(each), 0),
    ownCpuUs: () => cpuUsOf(pid),
    rssMiB: () => rssMiBOf(pid),
    stop: () => stop(child),
  };
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.removeAllListeners('exit');
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}

function treeOf(pid: number): number[] {
  const children = fs
    .readdirSync(`/proc/${pid}/task`)
    .flatMap((task) =>
      fs.readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  return [pid, ...children.flatMap(treeOf)];
}

/** Fields 14 and 15 of proc(5)'s stat, in ticks of a hundredth of a second. */
function cpuUsOf(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

function rssMiBOf(pid: number): number {
  const kib = /VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}
