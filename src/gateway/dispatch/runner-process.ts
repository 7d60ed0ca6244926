/**
 * One runner process: fork, frames out and in, a limit for every run, kill.
 *
 * K1: nothing inside the process is ever aborted; only the whole process is killed, because a thread stopped inside a
 *     native run would take it down anyway, and a hung kernel ends no other way.
 * K2: whatever arrives after the end is dropped.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import type {
  FromRunner,
  Run,
  RunFault,
  RunResult,
  SessionInfo,
  SessionSpec,
  ToRunner,
} from '../../worker/protocol.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import { COLLECTION_FLAGS } from '../ops/garbage-collection.ts';

// `.ts` in a checkout, `.js` in the package.
const RUNNER_MODULE = new URL(`../../worker/runner${extname(import.meta.url)}`, import.meta.url);

export type RunReply =
  | { readonly kind: 'ran'; readonly result: RunResult }
  | { readonly kind: 'run-failed'; readonly fault: RunFault; readonly message: string }
  | ({ readonly kind: 'ended' } & RunnerEnd);

/** How the process ended. */
export interface RunnerEnd {
  /** Such as `killed by SIGSEGV`. */
  readonly cause: string;
  /** It was killed because a run, or a load, gave no answer within its limit. */
  readonly timedOut: boolean;
}

/** A load that failed: the text says what ONNX Runtime had against the model, or how the process ended. */
export class LoadError extends Error {}

interface Pending {
  readonly timer: NodeJS.Timeout;
  readonly settle: (message: FromRunner | ({ kind: 'ended' } & RunnerEnd)) => void;
}

export class RunnerProcess {
  readonly name: string;
  /** Resolves, never rejects, when the process is gone. */
  readonly ended: Promise<RunnerEnd>;
  readonly #child: ChildProcess;
  readonly #pending = new Map<string, Pending>();
  #sequence = 0;
  #end: RunnerEnd | undefined;
  #killedFor: RunnerEnd | undefined;

  private constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.#child = child;
    child.on('message', (message: FromRunner) => this.#receive(message));
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: ONNX Runtime colours its lines
        const text = line.replace(/\u001b\[[0-9;]*m/g, '').trim();
        if (text !== '') diagnostics.notice.publish({ level: 'warn', text: `runner ${name}: ${text}` });
      });
    }
    this.ended = new Promise((resolve) => {
      const finish = (cause: string): void => {
        if (this.#end !== undefined) return;
        this.#end = this.#killedFor ?? { cause, timedOut: false };
        for (const { timer, settle } of this.#pending.values()) {
          clearTimeout(timer);
          settle({ kind: 'ended', ...this.#end });
        }
        this.#pending.clear();
        resolve(this.#end);
      };
      child.on('error', (error) => finish(`could not be started: ${error.message}`));
      child.on('exit', (code, signal) => finish(signal === null ? `exited with code ${code}` : `killed by ${signal}`));
    });
  }

  /** `env` must hold what the native libraries are to see: a process reads it once, at its start. */
  static start(name: string, env: NodeJS.ProcessEnv): RunnerProcess {
    const child = fork(RUNNER_MODULE, [], {
      env: { ...env, ORT_DISABLE_TELEMETRY: '1' },
      execArgv: [...COLLECTION_FLAGS],
      serialization: 'json',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    return new RunnerProcess(name, child);
  }

  get alive(): boolean {
    return this.#end === undefined && this.#killedFor === undefined;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @throws LoadError where the model does not load, or the process ends or is killed meanwhile. */
  async load(instance: number, mailboxPath: string, spec: SessionSpec, limitMs: number): Promise<SessionInfo> {
    const reply = await this.#ask(`load ${instance}`, { kind: 'load', instance, mailboxPath, spec }, limitMs);
    switch (reply.kind) {
      case 'loaded':
        return reply.info;
      case 'load-failed':
        throw new LoadError(reply.message);
      case 'ended':
        throw new LoadError(`the runner ended while loading the model: ${reply.cause}`);
      default:
        throw new LoadError(`the runner answered a load with '${reply.kind}'`);
    }
  }

  /** Never rejects. Kills the process where no answer comes within `limitMs`. */
  async run(instance: number, run: Run, limitMs: number): Promise<RunReply> {
    const sequence = ++this.#sequence;
    const reply = await this.#ask(`run ${sequence}`, { kind: 'run', instance, sequence, run }, limitMs);
    switch (reply.kind) {
      case 'ran':
      case 'run-failed':
      case 'ended':
        return reply;
      default:
        return { kind: 'run-failed', fault: 'internal', message: `the runner answered a run with '${reply.kind}'` };
    }
  }

  /** Frees an idle instance's session. Resolves also where the process ends meanwhile. */
  async unload(instance: number, limitMs: number): Promise<void> {
    await this.#ask(`unload ${instance}`, { kind: 'unload', instance }, limitMs);
  }

  /** Ends the process at once. Safe at any time: this process holds nothing native. */
  kill(cause: string): void {
    this.#kill({ cause, timedOut: false });
  }

  #kill(end: RunnerEnd): void {
    if (this.#end !== undefined) return;
    this.#killedFor ??= end;
    this.#child.kill('SIGKILL');
  }

  #ask(key: string, message: ToRunner, limitMs: number): Promise<FromRunner | ({ kind: 'ended' } & RunnerEnd)> {
    return new Promise((settle) => {
      if (this.#end !== undefined) {
        settle({ kind: 'ended', ...this.#end });
        return;
      }
      const late = (): void => this.#kill({ cause: `no answer within ${Math.round(limitMs)} ms`, timedOut: true });
      this.#pending.set(key, { timer: setTimeout(late, limitMs), settle });
      // A message that cannot be sent needs no handling: the process is gone, and its end settles what is pending.
      this.#child.send(message, () => {});
    });
  }

  #receive(message: FromRunner): void {
    const key = 'sequence' in message ? `run ${message.sequence}` : `${KEYS[message.kind]} ${message.instance}`;
    const pending = this.#pending.get(key);
    if (pending === undefined) return;
    this.#pending.delete(key);
    clearTimeout(pending.timer);
    pending.settle(message);
  }
}

const KEYS = { loaded: 'load', 'load-failed': 'load', unloaded: 'unload' } as const;
