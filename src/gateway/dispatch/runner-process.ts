/**
 * One runner process: fork, loads and unloads, the run channels of its instances, kill.
 *
 * PROC-1: nothing inside the process is ever aborted; only the whole process is killed, because a thread stopped inside a
 *     native run would take it down anyway, and a hung kernel ends no other way.
 * PROC-2: whatever arrives after the end is dropped.
 */

import { type ChildProcess, fork } from 'node:child_process';
import os from 'node:os';
import { extname } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import { messageOf } from '../../error-message.ts';
import type { FromRunner, LoadedInstance, Run, SessionInfo, SessionSpec, ToRunner } from '../../worker/protocol.ts';
import type { PlacedAnswer, RunOutcome } from '../../worker/run-outcome.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import { COLLECTION_FLAGS } from '../ops/garbage-collection.ts';
import { ChannelListener } from './channel-listener.ts';
import { InstanceCalls } from './instance-calls.ts';
import { InstanceChannel } from './instance-channel.ts';
import { OutputLines } from './output-lines.ts';
import { type RunBounds, RunWatch } from './run-watch.ts';
import { outcomeUnder, type RunnerEnd } from './runner-end.ts';
import { preferAsOomVictim, residentBytes } from './runner-memory.ts';
import { threadActivity } from './thread-activity.ts';

// `.ts` in a checkout, `.js` in the package.
const RUNNER_MODULE = new URL(`../../worker/runner${extname(import.meta.url)}`, import.meta.url);

/**
 * How glibc keeps memory; other C libraries ignore the variables, and a user's own values count first.
 *
 * It gives each thread a heap of at most 64 MiB, and returns an empty one: a batch's outputs in a heap of their own make the kernel
 * clear every page again for each batch. With one heap for the process they reuse the pages of earlier batches. By default glibc maps
 * and clears a block above 32 MiB, or less, each time: with outputs of 38 MB a batch, that took three times the CPU. A free end of the
 * heap above 64 MiB is still given back. Huge pages make weights and tensors cheaper to reach, on systems that give them to a process
 * that asks (`madvise` in `/sys/kernel/mm/transparent_hugepage/enabled`).
 */
const MEMORY = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: String(64 * 2 ** 20),
  MALLOC_TRIM_THRESHOLD_: String(64 * 2 ** 20),
  GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1',
};

/** A load that failed: the text says what ONNX Runtime had against the model, or how the process ended. */
export class LoadError extends Error {
  /** The message without the remedy, which only the server has. */
  readonly reason: string;

  constructor(reason: string, remedy = '') {
    super(`${reason}${remedy}`);
    this.reason = reason;
  }
}

interface Pending {
  readonly timer: NodeJS.Timeout;
  readonly settle: (message: FromRunner | ({ kind: 'ended' } & RunnerEnd)) => void;
}

export class RunnerProcess {
  readonly name: string;
  /** Resolves, never rejects, when the process is gone, or could not be started. */
  readonly ended: Promise<RunnerEnd>;
  /** `undefined` where the system refused it. */
  readonly #child: ChildProcess | undefined;
  readonly #pending = new Map<string, Pending>();
  /** By the numbers of their instances. */
  readonly #channels = new Map<number, InstanceChannel>();
  #end: RunnerEnd | undefined;
  #killedFor: RunnerEnd | undefined;
  #resolveEnded: (end: RunnerEnd) => void = () => {};

  private constructor(name: string, start: () => ChildProcess) {
    this.name = name;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    try {
      this.#child = start();
      this.#watch(this.#child);
    } catch (error) {
      this.#finish(notStarted(error));
    }
  }

  /**
   * Starts a process. Never throws: where the system refuses one (no descriptor, no memory, too many processes), it has ended.
   * `env` must hold what the native libraries are to see: a process reads it once, at its start.
   * @param niceness added to the gateway's own, so that the gateway's other runners go first: 0 is the same priority.
   */
  static start(name: string, env: NodeJS.ProcessEnv, niceness = 0): RunnerProcess {
    return new RunnerProcess(name, () => {
      // The argument shows in lists of processes which models the process holds.
      const child = fork(RUNNER_MODULE, [name], {
        env: { ...MEMORY, ...env, ORT_DISABLE_TELEMETRY: '1' },
        execArgv: [...COLLECTION_FLAGS],
        serialization: 'json',
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      });
      if (child.pid !== undefined) preferAsOomVictim(child.pid);
      if (niceness > 0 && child.pid !== undefined) yieldTo(child.pid, niceness);
      return child;
    });
  }

  get alive(): boolean {
    return this.#end === undefined && this.#killedFor === undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** @throws LoadError where the model does not load, or the process ends or is killed meanwhile. */
  async load(instance: number, mailboxPath: string, spec: SessionSpec, limitMs: number): Promise<SessionInfo> {
    const listener = await ChannelListener.open();
    const caller = spec.step?.kind === 'javascript' ? await ChannelListener.open() : undefined;
    try {
      const message: ToRunner = {
        kind: 'load',
        instance,
        spec: { mailboxPath, channel: listener.address, session: spec, calls: caller?.address },
      };
      const { info, threads } = loadedOf(await this.#ask(`load ${instance}`, message, limitMs));
      // The thread was welcomed before it began to load.
      if (listener.socket === undefined) throw new LoadError('the runner opened no run channel');
      const watch = this.#watchOver(instance, info, threads);
      const kill = (end: RunnerEnd): void => this.#kill(end);
      const calls = caller?.socket && new InstanceCalls(caller.socket, spec, kill);
      this.#channels.set(instance, new InstanceChannel(listener.socket, info, watch, kill, calls));
      return info;
    } catch (error) {
      listener.socket?.destroy();
      caller?.socket?.destroy();
      throw error;
    } finally {
      listener.close();
      caller?.close();
    }
  }

  /** Never rejects. One at a time for each instance. Kills the process where the run must not go on (run-watch.ts). */
  async run(instance: number, run: Run, bounds: RunBounds): Promise<RunOutcome<PlacedAnswer>> {
    if (this.#end !== undefined) return outcomeUnder(this.#end, instance, bounds.maxMs);
    const channel = this.#channels.get(instance);
    if (channel === undefined) return { kind: 'failed', error: new Error(`no instance ${instance}`) };
    return channel.run(run, bounds);
  }

  /** Frees an idle instance's session. Resolves also where the process ends meanwhile. */
  async unload(instance: number, limitMs: number): Promise<void> {
    this.#channels.get(instance)?.close();
    this.#channels.delete(instance);
    await this.#ask(`unload ${instance}`, { kind: 'unload', instance }, limitMs);
  }

  /** Ends the process at once. Safe at any time: this process holds nothing native. */
  kill(cause: string): void {
    this.#kill({ cause, timedOut: false });
  }

  #watchOver(instance: number, { provider, hasOwnThreads }: SessionInfo, threads: readonly number[]): RunWatch {
    const pid = this.pid ?? 0;
    // The runner names files with them.
    const ids = threads.filter(Number.isInteger);
    const watched = {
      memory: () => residentBytes(pid),
      activity: () => threadActivity(pid, ids),
      kill: (end: RunnerEnd) => this.#kill(end),
    };
    return new RunWatch(instance, watched, provider !== 'cpu' || hasOwnThreads === true);
  }

  #kill(end: RunnerEnd): void {
    if (this.#end !== undefined) return;
    const running = [...this.#channels.values()].filter((channel) => channel.running).length;
    this.#killedFor ??= end.memory !== undefined && running === 1 ? { ...end, memory: 'of-one-run' } : end;
    this.#child?.kill('SIGKILL');
  }

  /**
   * Listens to everything of the process that can fail, before anything of it can: an `error` event without a listener ends
   * the gateway. A process that was refused for want of descriptors has no pipes.
   */
  #watch(child: ChildProcess): void {
    child.on('error', (error) => {
      if (child.pid === undefined) this.#finish(notStarted(error));
      else this.kill(`its channel failed: ${error.message}`);
    });
    child.on('exit', (code, signal) =>
      this.#finish(signal === null ? `exited with code ${code}` : `killed by ${signal}`),
    );
    child.on('message', (message) => this.#receive(message as FromRunner));
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      const lines = new OutputLines((line) => this.#print(line));
      // Its output is lost; its end is noticed by itself.
      stream.on('error', () => {});
      stream.on('data', (bytes: Buffer) => lines.write(bytes));
      stream.on('end', () => lines.end());
    }
  }

  #print(line: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: ONNX Runtime colours its lines
    const text = line.replace(/\u001b\[[0-9;]*m/g, '').trim();
    if (text !== '') diagnostics.notice.publish({ level: 'warn', text: `runner ${this.name}: ${text}` });
  }

  #finish(cause: string): void {
    if (this.#end !== undefined) return;
    this.#end = this.#killedFor ?? { cause, timedOut: false };
    for (const { timer, settle } of this.#pending.values()) {
      clearTimeout(timer);
      settle({ kind: 'ended', ...this.#end });
    }
    this.#pending.clear();
    for (const channel of this.#channels.values()) channel.end(this.#end);
    this.#channels.clear();
    this.#resolveEnded(this.#end);
  }

  #ask(key: string, message: ToRunner, limitMs: number): Promise<FromRunner | ({ kind: 'ended' } & RunnerEnd)> {
    return new Promise((settle) => {
      if (this.#end !== undefined) {
        settle({ kind: 'ended', ...this.#end });
        return;
      }
      const late = (): void =>
        this.#kill({
          cause: `no answer within ${Math.round(limitMs)} ms`,
          timedOut: true,
          culprit: { instance: message.instance, fault: 'overran' },
        });
      this.#pending.set(key, { timer: setTimeout(late, limitMs), settle });
      // A message that cannot be sent needs no handling: the process is gone, and its end settles pending calls. A process without a
      // channel was refused, and is about to report it.
      if (this.#child?.connected) this.#child.send(message, () => {});
    });
  }

  #receive(message: FromRunner): void {
    // A process whose memory is corrupt may send anything.
    if (typeof message !== 'object' || message === null) return;
    const key = `${KEYS[message.kind]} ${message.instance}`;
    const pending = this.#pending.get(key);
    if (pending === undefined) return;
    this.#pending.delete(key);
    clearTimeout(pending.timer);
    pending.settle(message);
  }
}

const LOAD_LIMIT_HINT =
  ', which is the limit for a load (--runner-start-timeout-ms): raise it if the model is large or its disk slow';

/** @throws LoadError where it is no success */
function loadedOf(reply: FromRunner | ({ kind: 'ended' } & RunnerEnd)): LoadedInstance {
  switch (reply.kind) {
    case 'loaded':
      return reply;
    case 'load-failed':
      throw new LoadError(reply.message);
    case 'ended':
      throw new LoadError(
        `the runner ended while loading the model: ${reply.cause}`,
        reply.timedOut ? LOAD_LIMIT_HINT : '',
      );
    default:
      throw new LoadError(`the runner answered a load with '${reply.kind}'`);
  }
}

/** Linux caps a niceness here. */
const MAX_NICENESS = 19;

/** Linux sets the priority of one thread; the threads that compute are started by it later, and inherit it. */
function yieldTo(pid: number, niceness: number): void {
  try {
    // An absolute niceness would put the runner before all others where the gateway itself runs with a higher one.
    os.setPriority(pid, Math.min(MAX_NICENESS, os.getPriority() + niceness));
  } catch {
    // It has ended already, which is reported elsewhere, or the system forbids it, and it runs like all others.
  }
}

/** In the system's words: clients read them, and Node's name the path of its program. */
function notStarted(error: unknown): string {
  const { errno } = error as NodeJS.ErrnoException;
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
  const text = known?.join(', ') ?? messageOf(error);
  return `could not be started: ${text}`;
}

const KEYS = { loaded: 'load', 'load-failed': 'load', unloaded: 'unload' } as const;
