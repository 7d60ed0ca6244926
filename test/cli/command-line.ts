import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** The environment of the tests without what would change the answers of the program. */
const { FORCE_COLOR: _force, NO_COLOR: _no, ...ENVIRONMENT } = process.env;

interface CommandLineOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program as people do, in a process of its own. */
export async function runCommandLine(args: readonly string[], options: CommandLineOptions = {}): Promise<Ended> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...ENVIRONMENT, ...options.env },
    cwd: options.cwd,
  });
  child.stdin.end(options.input ?? '');
  const ended = once(child, 'close');
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

/** `tensorgate serve` that has said whether it is ready. */
export interface RunningServer {
  readonly child: ChildProcess;
  /** The lines of stdout. The last one says whether it is ready. */
  readonly lines: readonly string[];
  readonly grpc: string;
  readonly http: string;
  /** What it wrote to stderr, complete when it has ended. */
  readonly stderr: Promise<string>;
  readonly exited: Promise<readonly [code: number | null, signal: NodeJS.Signals | null]>;
}

/** Starts a server on free ports, in a process group of its own. Rejects where it ends before it has loaded its models. */
export async function startServer(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningServer> {
  const ports = ['--grpc-port', '0', '--http-port', '0'];
  const child = spawn(process.execPath, [PROGRAM, 'serve', ...ports, ...args], {
    env: { ...ENVIRONMENT, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const stderr = text(child.stderr);
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    lines.push(line);
    const match = /^tensorgate (?:not )?ready: grpc (?<grpc>\S+), http (?<http>\S+)$/.exec(line)?.groups;
    if (match) return { child, lines, grpc: match['grpc'] ?? '', http: match['http'] ?? '', stderr, exited };
  }
  throw new Error(`the server ended before it was ready: ${await stderr}`);
}

/** Ends a server as operators do, so that it leaves nothing behind; it may have ended before. */
export async function endServer({ child, exited }: RunningServer): Promise<void> {
  child.kill('SIGTERM');
  await exited;
}

/** Whether a process of the server's group, such as a runner, is still there. */
export function isGroupAlive({ child }: RunningServer): boolean {
  try {
    process.kill(-(child.pid ?? 0), 0);
    return true;
  } catch {
    return false;
  }
}
