/**
 * A supervised runner: a process that is replaced when it dies, for the model versions that live in it (usually one).
 *
 * I2: a dead runner touches only the batches that were in it.
 * I3: death during a model's first load is that model's failure, and is not retried. A runner that dies in service is
 *     replaced at once, and after a growing pause where it dies soon again; one that does not come up is given up.
 */

import { diagnostics, type ModelRef } from '../ops/diagnostics.ts';
import { LoadError, RunnerProcess } from './runner-process.ts';

/** A model version in a runner. */
export interface Tenant {
  readonly model: ModelRef;
  /** Loads its instances into a new process. Rejects where they do not load. */
  occupy(process: RunnerProcess): Promise<void>;
  /** Frees its instances in a process that others go on using. */
  vacate(): void;
  /** The process is gone, and will not come back. */
  evict(cause: string): void;
}

/** Pauses before the second, third, … start of a runner that keeps dying; the last one repeats. */
const RESTART_PAUSES_MS = [0, 250, 500, 1_000, 2_000, 5_000] as const;
/** A runner that lived this long starts with a fresh account. */
const HEALTHY_AFTER_MS = 30_000;
/** Starts in a row that did not bring all models back, after which it is given up. */
const MAX_FAILED_STARTS = 3;

export class Runner {
  readonly name: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #onEmpty: () => void;
  readonly #niceness: number;
  readonly #tenants = new Set<Tenant>();
  /** Model versions that are moving in: the process is not ended under them. */
  #arriving = 0;
  #process: RunnerProcess | undefined;
  #startedAt = 0;
  #restarts = 0;
  #failedStarts = 0;
  #closed = false;
  /** Loads follow one another, so that a death while loading has one possible culprit. */
  #loading: Promise<void> = Promise.resolve();

  /**
   * @param onEmpty called when the last model version has moved out.
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
    return this.#tenants.size === 0 && this.#arriving === 0;
  }

  /** Moves a model version in. Rejects with a LoadError where it does not load; other tenants are not harmed. */
  admit(tenant: Tenant): Promise<void> {
    this.#arriving++;
    const admitted = this.#loading.then(async () => {
      try {
        await tenant.occupy(this.#living());
        this.#tenants.add(tenant);
      } finally {
        this.#arriving--;
      }
    });
    this.#loading = admitted.catch(() => {});
    return admitted;
  }

  /** Moves a model version out; with the last one the process ends, and its memory is the system's again. */
  release(tenant: Tenant): void {
    this.#tenants.delete(tenant);
    if (!this.empty) {
      tenant.vacate();
      return;
    }
    this.#stop();
    this.#onEmpty();
  }

  /** Ends the process for good: whoever is about to move in is refused. */
  close(): void {
    this.#closed = true;
    this.#stop();
  }

  /** Ends the process as hung or broken; it is replaced like any that died. */
  kill(cause: string): void {
    this.#process?.kill(cause);
  }

  #stop(): void {
    this.#process?.kill('closed');
    // Whoever moves in next gets a new process, not the dying one.
    this.#process = undefined;
  }

  #living(): RunnerProcess {
    if (this.#closed) throw new LoadError('the server ends');
    if (this.#process !== undefined) return this.#process;
    const started = RunnerProcess.start(this.name, this.#env, this.#niceness);
    this.#process = started;
    this.#startedAt = performance.now();
    void started.ended.then(({ cause }) => this.#ended(started, cause));
    return started;
  }

  #ended(process: RunnerProcess, cause: string): void {
    if (this.#process !== process) return;
    this.#process = undefined;
    if (this.#closed || this.#tenants.size === 0) return;
    if (performance.now() - this.#startedAt > HEALTHY_AFTER_MS) this.#restarts = 0;
    const pause = RESTART_PAUSES_MS[Math.min(this.#restarts++, RESTART_PAUSES_MS.length - 1)];
    const models = [...this.#tenants].map(({ model }) => model);
    const restarting = this.#failedStarts < MAX_FAILED_STARTS;
    diagnostics.runnerEnded.publish({ runner: this.name, models, cause, restarting });
    if (!restarting) {
      for (const tenant of this.#tenants) tenant.evict(`its runner does not come up again, last: ${cause}`);
      this.#tenants.clear();
      return;
    }
    this.#loading = this.#loading.then(async () => {
      // A server that ends meanwhile does not wait for it.
      await new Promise((resolve) => setTimeout(resolve, pause).unref());
      await this.#restore();
    });
  }

  /** Loads every tenant into a new process. One that no longer loads is evicted; if the process dies, `#ended` follows. */
  async #restore(): Promise<void> {
    if (this.#closed || this.#tenants.size === 0) return;
    const process = this.#living();
    this.#failedStarts++;
    for (const tenant of this.#tenants) {
      try {
        await tenant.occupy(process);
      } catch (error) {
        if (this.#process !== process) return;
        this.#tenants.delete(tenant);
        tenant.evict(error instanceof Error ? error.message : String(error));
      }
    }
    this.#failedStarts = 0;
    if (this.empty) this.#stop();
  }
}
