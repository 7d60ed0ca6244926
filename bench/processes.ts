/** Servers as child processes of their own, and what they cost: CPU seconds and resident memory of the whole process tree. */

import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export interface ServerProcess {
  /** The port of gRPC. */
  readonly port: number;
  /** The port of REST; `undefined` for a server without it. */
  readonly httpPort: number | undefined;
  readonly pid: number;
  /** User and system time of the process and all its living descendants, in microseconds (the kernel counts in steps of 10 ms). */
  cpuUs(): number;
  /** The same of the process without its descendants. */
  ownCpuUs(): number;
  /** CPU time of living descendants whose command line contains the text, in microseconds. */
  cpuUsOfRunner(text: string): number;
  /** Resident memory of only the process itself, in MiB. */
  rssMiB(): number;
  /** Resident memory of the process and all its living descendants, in MiB: pages that they share count for each. */
  treeRssMiB(): number;
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
  return startServer([process.execPath, ...args], /grpc \S+:(?<port>\d+), http \S+:(?<http>\d+)/);
}

/** CPU of the server for each of the calls that `load` counts, in microseconds. */
export async function cpuUsPerCall(server: ServerProcess, load: () => Promise<number>): Promise<number> {
  const before = server.cpuUs();
  const answered = await load();
  return (server.cpuUs() - before) / answered;
}

/** Runs a script that prints its figure, in a process of its own on the core of the servers. @returns what it printed */
export function runBare(script: string, args: readonly string[]): string {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const { stdout, status } = spawnSync('taskset', ['-c', SERVER_CORE, process.execPath, file, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
  });
  if (status !== 0) throw new Error(`${script} ended with ${status}`);
  return stdout;
}

/** Runs a load generator on the core of the clients. @returns what it printed */
export async function runClient(program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('taskset', ['-c', CLIENT_CORE, program, ...args]);
  return stdout;
}

/** From the start to the end of a Node that runs nothing, on the core of the servers, in milliseconds. */
export function bareNodeMs(): number {
  const before = performance.now();
  spawnSync('taskset', ['-c', SERVER_CORE, process.execPath, '-e', '']);
  return performance.now() - before;
}

/** A process that computes without end on the core of the servers. */
export function startNeighbour(): { kill(): void } {
  const child = spawn('taskset', ['-c', SERVER_CORE, process.execPath, '-e', 'for (;;);'], { stdio: 'ignore' });
  return { kill: () => void child.kill('SIGKILL') };
}

/** An empty grpc-js server that sends each message back. */
export function startEcho(): Promise<ServerProcess> {
  return startServer([process.execPath, fileURLToPath(new URL('./echo-server.ts', import.meta.url))], PORT);
}

/** The echo in C++: `program` is what `grpc-echo/toolchain.ts` builds. */
export function startGrpcEcho(program: string): Promise<ServerProcess> {
  return startServer([program], PORT);
}

/** Our own transport, which only sends each message back. */
export function startHttp2Echo(): Promise<ServerProcess> {
  return startServer([process.execPath, fileURLToPath(new URL('./http2-echo-server.ts', import.meta.url))], PORT);
}

/** A server of `node:http` that sends each body back. */
export function startHttpEcho(): Promise<ServerProcess> {
  return startServer([process.execPath, fileURLToPath(new URL('./http-echo-server.ts', import.meta.url))], PORT);
}

/** What the echo servers print. */
const PORT = /port (?<port>\d+)/;

/** The core that servers are pinned to; the load generator takes the other. */
const SERVER_CORE = '0';
const CLIENT_CORE = '1';

async function startServer(command: readonly string[], ready: RegExp): Promise<ServerProcess> {
  const child = spawn('taskset', ['-c', SERVER_CORE, ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
  // A bench that fails leaves no server behind.
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  const ports = await new Promise<Readonly<Record<string, string>>>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with code ${code} before it was ready`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = ready.exec(line)?.groups;
      if (found !== undefined) resolve(found);
    });
  });
  const pid = child.pid ?? 0;
  return {
    port: Number(ports['port']),
    httpPort: ports['http'] === undefined ? undefined : Number(ports['http']),
    pid,
    cpuUs: () => treeOf(pid).reduce((sum, each) => sum + cpuUsOf(each), 0),
    ownCpuUs: () => cpuUsOf(pid),
    cpuUsOfRunner: (text) =>
      treeOf(pid)
        .filter((each) => fs.readFileSync(`/proc/${each}/cmdline`, 'utf8').includes(text))
        .reduce((sum, each) => sum + cpuUsOf(each), 0),
    rssMiB: () => rssMiBOf(pid),
    treeRssMiB: () => treeOf(pid).reduce((sum, each) => sum + rssMiBOf(each), 0),
    stop: () => stop(child),
  };
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
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
