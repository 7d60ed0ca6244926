/** The real server: the program in a process of its own, on free ports, with real runners. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { isAlive } from './process-tree.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const READY =
  /^tensorgate (?:not )?ready: grpc (?<grpc>\S+:(?<grpcPort>\d+)), http (?<http>[^\s,]+:(?<httpPort>\d+))(, admin (?<admin>\S+))?$/;

export interface ServerOptions {
  /** Flags of `tensorgate serve`, such as `['--max-message-bytes', '4096']`. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What to start instead of the program of this checkout; the arguments of `tensorgate` follow it. */
  readonly command?: readonly [string, ...string[]];
}

export interface TestServer extends AsyncDisposable {
  readonly grpcPort: number;
  readonly httpPort: number;
  /** `host:port` of gRPC. */
  readonly grpc: string;
  /** `http://host:port` of the operators' pages. */
  readonly http: string;
  /** `host:port` of the admin port, where there is one. */
  readonly admin: string | undefined;
  readonly pid: number;
  /** What it printed before the line with its addresses. */
  readonly lines: readonly string[];
  /** Its log; complete when it has ended. */
  readonly log: Promise<string>;
  /** The runner processes that live at this moment. */
  runnerPids(): number[];
  /** Ends it with SIGTERM. Fails unless it drains, exits with 0, and leaves no runner. */
  stop(): Promise<void>;
}

/**
 * Resolves when the server has said whether it is ready: every model was loaded, or failed.
 * @throws Error with the log of a server that ended before.
 */
export async function startServer(
  repository: string,
  { flags = [], env = {}, command = [process.execPath, PROGRAM] }: ServerOptions = {},
): Promise<TestServer> {
  const args = ['serve', '--model-repository', repository, '--grpc-port', '0', '--http-port', '0', ...flags];
  const [program, ...before] = command;
  // A test of the other transport means it whatever the project is.
  const ofTransport = flags.includes('grpc-js') ? { TENSORGATE_ACCEPTORS: '1' } : {};
  const child = spawn(program, [...before, ...args], {
    env: { ...process.env, ...ofTransport, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const killWithTests = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithTests);
  const ended = once(child, 'close').finally(() => process.off('exit', killWithTests));
  const log = text(child.stderr);
  const pid = child.pid ?? Number.NaN;
  const end = async (): Promise<void> => {
    const runners = runnerPidsOf(pid);
    child.kill('SIGTERM');
    const [code, signal] = await ended;
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `the server did not end well: ${await log}`);
    assert.deepEqual(runners.filter(isAlive), [], 'runners outlive the server');
  };
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= end();
    return stopped;
  };
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    const { grpc, grpcPort, http, httpPort, admin } = READY.exec(line)?.groups ?? {};
    if (grpc === undefined) {
      lines.push(line);
      continue;
    }
    return {
      grpcPort: Number(grpcPort),
      httpPort: Number(httpPort),
      grpc,
      http: `http://${http}`,
      admin,
      pid,
      lines,
      log,
      runnerPids: () => runnerPidsOf(pid),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  }
  throw new Error(`the server ended before it was ready: ${await log}`);
}

/** Kills processes that were listed a moment ago: some may have ended since. */
export function killEach(pids: readonly number[], signal: NodeJS.Signals = 'SIGKILL'): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** The children of the process, by the names of their runners; none where it has ended. Its threads start none. */
export function runnerPidsOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!fs.existsSync(file)) return [];
  const pids = fs.readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number);
  const named = pids.map((child) => ({ child, name: nameOf(child) }));
  return named
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.child - b.child))
    .map(({ child }) => child);
}

/** The last argument of a runner; empty for one that has ended. */
function nameOf(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').at(-2) ?? '';
  } catch {
    return '';
  }
}
