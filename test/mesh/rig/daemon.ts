import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WORK } from './sandbox.ts';

export const LOGS: string = path.join(WORK, 'logs');
const SAVED_LOGS = fileURLToPath(new URL('../logs', import.meta.url));

/** A program that runs as long as the sandbox does, with its output in a log. */
export class Daemon {
  readonly name: string;
  readonly #child: ChildProcess;

  constructor(name: string, command: readonly [string, ...string[]], env: NodeJS.ProcessEnv = process.env) {
    this.name = name;
    const log = openLog(name);
    const [program, ...args] = command;
    const folder = path.join(WORK, name);
    fs.mkdirSync(folder, { recursive: true });
    this.#child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', log, log] });
    fs.closeSync(log);
  }

  /** Waits until it does what it was started for. @throws Error with the end of its log, where it ends or takes too long */
  async until(isReady: () => Promise<boolean>, seconds = 120): Promise<void> {
    const end = Date.now() + seconds * 1000;
    while (!(await isReady().catch(() => false))) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw this.#failure('ended');
      if (Date.now() > end) throw this.#failure(`is not ready after ${seconds} s`);
      await delay(100);
    }
  }

  #failure(what: string): Error {
    return new Error(`${this.name} ${what}:\n${endOfLog(this.name)}`);
  }
}

/** Opens a log for appending; a program in a container may open it again, as `/dev/stdout`. */
export function openLog(name: string): number {
  fs.mkdirSync(LOGS, { recursive: true });
  const file = path.join(LOGS, `${name}.log`);
  const log = fs.openSync(file, 'a', 0o666);
  fs.fchmodSync(log, 0o666);
  return log;
}

/** Empty where there is no log. */
export function endOfLog(name: string, lines = 20): string {
  const file = path.join(LOGS, `${name}.log`);
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trimEnd() : '';
  return text.split('\n').slice(-lines).join('\n');
}

/** Copies all logs out of the sandbox's memory. Returns where they are. */
export function saveLogs(): string {
  fs.rmSync(SAVED_LOGS, { recursive: true, force: true });
  fs.cpSync(LOGS, SAVED_LOGS, { recursive: true });
  return SAVED_LOGS;
}
