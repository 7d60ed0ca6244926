/** The program as a process that may end in any way: what `test/support/server.ts` takes for a failure is the subject here. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { killEach, runnerPidsOf } from '../support/server.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const READY = /^tensorgate (?:not )?ready: grpc (?<grpc>\S+), http (?<http>\S+)$/;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `tensorgate serve` on free ports, in a process group of its own. */
export class ServerProcess implements AsyncDisposable {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** What it printed; the last line says whether it is ready. */
  readonly lines: string[] = [];
  /** Its log so far, a line each. */
  readonly log: string[] = [];
  /** Resolves when it has loaded its models and said whether it is ready. Rejects where it ends before. */
  readonly ready: Promise<{ readonly grpc: string; readonly http: string }>;
  readonly #child: ChildProcess;

  constructor(repository: string, flags: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
    const ports = ['--grpc-port', '0', '--http-port', '0'];
    const child = spawn(process.execPath, [PROGRAM, 'serve', '--model-repository', repository, ...ports, ...flags], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child = child;
    this.pid = child.pid ?? Number.NaN;
    this.ended = once(child, 'close').then(([code, signal]) => ({ code, signal }));
    createInterface(child.stderr).on('line', (line) => this.log.push(line));
    this.ready = new Promise((resolve, reject) => {
      createInterface(child.stdout).on('line', (line) => {
        this.lines.push(line);
        const { grpc, http } = READY.exec(line)?.groups ?? {};
        if (grpc !== undefined && http !== undefined) resolve({ grpc, http: `http://${http}` });
      });
      void this.ended.then(({ code }) => reject(new Error(`ended with ${code}: ${this.log.join('\n')}`)));
    });
    // Some tests never wait for it.
    this.ready.catch(() => {});
    // Also where the test runs out of time.
    onTestFinished(() => this.#killGroup());
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** What a terminal does on Ctrl-C: the runners get the signal as well. */
  killGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal);
  }

  /** The runner processes that live at this moment; none once it has ended. */
  runnerPids(): number[] {
    return runnerPidsOf(this.pid);
  }

  /** The processes of its group that live: the server, and its runners. */
  groupPids(): number[] {
    const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return pids.map(Number).filter((pid) => groupOf(pid) === this.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#killGroup();
    await this.ended;
  }

  #killGroup(): void {
    killEach(this.groupPids());
  }
}

/** The process group of a process that lives: fields 3 and 5 of proc(5)'s stat. */
function groupOf(pid: number): number | undefined {
  try {
    const [state, , group] = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return state === 'Z' ? undefined : Number(group);
  } catch {
    return undefined; // gone meanwhile
  }
}
