/**
 * A supervised runner: a process that is replaced when it dies, for the model versions that live in it (usually one).
 *
 * RUN-1: a dead runner touches only the batches that were in it.
 * RUN-2: death during a model's first load is that model's failure, and is not retried.
 * RUN-3: a model that served comes back by itself: its starts are retried with growing pauses, for ever (outage.ts).
 * RUN-4: each model has pauses of its own. One whose load ends the process of others delays no restart of theirs.
 */

import { messageOf } from '../../error-message.ts';
import { Mutex } from '../../mutex.ts';
import { diagnostics, type ModelRef } from '../ops/diagnostics.ts';
import { type Outage, restartPauseMs } from './outage.ts';
import type { RunnerEnd } from './runner-end.ts';
import { LoadError, RunnerProcess } from './runner-process.ts';

export interface HostedModel {
  readonly model: ModelRef;
  /** Loads its instances into a new process. Rejects where they do not load. */
  load(process: RunnerProcess): Promise<void>;
  /** Frees its instances in a process that others go on using. */
  unload(): void;
  /** It has no process until the start that `outage` describes succeeds. Called again after each start that failed. */
  suspend(outage: Outage): void;
}

/** The supervision of a model version that was loaded at least once. */
interface Supervision {
  /** Starts in a row after which it did not live long. */
  failures: number;
  /** Since when it is in the living process; `undefined` during an outage. */
  loadedAtMs: number | undefined;
  downSinceMs: number;
  restart: NodeJS.Timeout | undefined;
}

/** A model that lived this long starts with a fresh account. */
const HEALTHY_AFTER_MS = 30_000;

export class Runner {
  readonly name: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #onEmpty: () => void;
  readonly #niceness: number;
  readonly #supervised = new Map<HostedModel, Supervision>();
  /** Model versions that are being loaded for the first time: the process is not ended under them. */
  #arriving = 0;
  #process: RunnerProcess | undefined;
  /** Whether a model is being loaded: a death is its doing then. */
  #isLoading = false;
  #closed = false;
  /** Loads follow one another, so that a death while loading has one possible culprit. */
  readonly #loads = new Mutex();

  /**
   * @param onEmpty called when the last model version is unloaded.
   * @param niceness of its process: see `RunnerProcess.start`.
   */
  constructor(name: string, env: NodeJS.ProcessEnv, onEmpty: () => void = () => {}, niceness = 0) {
    this.name = name;
    this.#env = env;
    this.#onEmpty = onEmpty;
    this.#niceness = niceness;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get empty(): boolean {
    return this.#supervised.size === 0 && this.#arriving === 0;
  }

  /** Loads a model version into the process. Rejects with a LoadError where it does not load; other models are not harmed. */
  load(hosted: HostedModel): Promise<void> {
    this.#arriving++;
    return this.#loads.run(async () => {
      try {
        await this.#load(hosted);
        this.#supervised.set(hosted, {
          failures: 0,
          loadedAtMs: performance.now(),
          downSinceMs: 0,
          restart: undefined,
        });
      } finally {
        this.#arriving--;
      }
    });
  }

  /** Unloads a model version. With the last one the process ends and gives its memory back to the system. */
  unload(hosted: HostedModel): void {
    clearTimeout(this.#supervised.get(hosted)?.restart);
    this.#supervised.delete(hosted);
    if (!this.empty) {
      hosted.unload();
      return;
    }
    this.#stop();
    this.#onEmpty();
  }

  /** Kills the process for good: a model that is about to be loaded is refused. Resolves when the process is gone. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { restart } of this.#supervised.values()) clearTimeout(restart);
    const ended = this.#process?.ended;
    this.#stop();
    await ended;
  }

  /** Ends the process as hung or broken; it is replaced like any that died. */
  kill(cause: string): void {
    this.#process?.kill(cause);
  }

  #stop(): void {
    this.#process?.kill('closed');
    // The next version gets a new process, not the dying one.
    this.#process = undefined;
  }

  async #load(hosted: HostedModel): Promise<void> {
    const process = this.#living();
    this.#isLoading = true;
    try {
      await hosted.load(process);
      if (!process.alive) throw new LoadError('the runner ended when the model was loaded');
    } finally {
      this.#isLoading = false;
    }
  }

  #living(): RunnerProcess {
    if (this.#closed) throw new LoadError('the server ends');
    if (this.#process !== undefined) return this.#process;
    const started = RunnerProcess.start(this.name, this.#env, this.#niceness);
    this.#process = started;
    void started.ended.then((end) => this.#ended(started, end));
    return started;
  }

  #ended(process: RunnerProcess, { cause, culprit }: RunnerEnd): void {
    if (this.#process !== process) return;
    this.#process = undefined;
    if (this.#closed) return;
    // A model that was not in it waits for a start already; one that was being loaded learns it from its load.
    const lost = [...this.#supervised].filter(([, { loadedAtMs }]) => loadedAtMs !== undefined);
    if (lost.length === 0) return;
    const models = lost.map(([{ model }]) => model);
    diagnostics.runnerEnded.publish({ runner: this.name, models, cause, isStopped: culprit?.fault === 'abandoned' });
    // A request that takes too long says nothing of the model's health.
    const isOwnDoing = !this.#isLoading && culprit === undefined;
    for (const [hosted, supervision] of lost)
      this.#suspend(hosted, supervision, { cause, isRefused: false, isOwnDoing });
  }

  #suspend(
    hosted: HostedModel,
    supervision: Supervision,
    { cause, isRefused, isOwnDoing }: { cause: string; isRefused: boolean; isOwnDoing: boolean },
  ): void {
    const now = performance.now();
    if (supervision.loadedAtMs !== undefined) {
      if (now - supervision.loadedAtMs > HEALTHY_AFTER_MS) supervision.failures = 0;
      supervision.loadedAtMs = undefined;
      supervision.downSinceMs = now;
    }
    const pauseMs = restartPauseMs(supervision.failures);
    if (isOwnDoing) supervision.failures++;
    // A server that ends meanwhile does not wait for it.
    supervision.restart = setTimeout(() => this.#restart(hosted, supervision), pauseMs).unref();
    const attempt = Math.max(1, supervision.failures);
    hosted.suspend({ sinceMs: supervision.downSinceMs, attempt, nextAtMs: now + pauseMs, cause, isRefused });
  }

  /** Loads a lost model version into the living process, or a new one. */
  #restart(hosted: HostedModel, supervision: Supervision): void {
    const isGone = (): boolean => this.#closed || this.#supervised.get(hosted) !== supervision;
    void this.#loads.run(async () => {
      if (isGone()) return;
      const { model } = hosted;
      try {
        await this.#load(hosted);
      } catch (error) {
        if (isGone()) return;
        const cause = messageOf(error);
        diagnostics.runnerStarted.publish({ runner: this.name, model, outcome: 'failed', cause });
        const isRefused = error instanceof LoadError && this.#process?.alive === true;
        this.#suspend(hosted, supervision, { cause, isRefused, isOwnDoing: true });
        this.#stopUnused();
        return;
      }
      // It was unloaded meanwhile.
      if (isGone()) {
        hosted.unload();
        return;
      }
      supervision.loadedAtMs = performance.now();
      diagnostics.runnerStarted.publish({ runner: this.name, model, outcome: 'ok', cause: undefined });
    });
  }

  /** A process without a model is not kept while its models wait for their next start. */
  #stopUnused(): void {
    const isUsed = [...this.#supervised.values()].some(({ loadedAtMs }) => loadedAtMs !== undefined);
    if (!isUsed && this.#arriving === 0) this.#stop();
  }
}
