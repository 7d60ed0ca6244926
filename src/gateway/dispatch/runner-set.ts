/** The runners of the server: one for each model version that is loaded, or one for all that name it. */

import type { ModelRef } from '../ops/diagnostics.ts';
import { Runner } from './runner.ts';

export class RunnerSet {
  readonly #env: NodeJS.ProcessEnv;
  /** By the name that models give it. */
  readonly #shared = new Map<string, Runner>();
  readonly #own = new Set<Runner>();
  #closed = false;

  /** `env` is what runner processes see. */
  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  /**
   * The runner into which a version is to be loaded. One of its own is new each time: a version that is loaded again lives
   * beside its predecessor until it has replaced it.
   * @param shared the name of a runner that several model versions share; its process has the usual priority.
   * @param niceness added to the gateway's own: 0 is the same priority, and above that others go first.
   */
  runnerFor(
    { name, version }: ModelRef,
    { shared, niceness }: { shared: string | undefined; niceness: number },
  ): Runner {
    if (shared === undefined) {
      const own: Runner = this.#make(`${name}:${version}`, () => this.#own.delete(own), niceness);
      this.#own.add(own);
      return own;
    }
    const runner = this.#shared.get(shared) ?? this.#make(shared);
    this.#shared.set(shared, runner);
    return runner;
  }

  /** Kills all of them at once, and those that are still to come. Resolves when they are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#shared.values(), ...this.#own].map((runner) => runner.close()));
  }

  #make(name: string, onEmpty?: () => void, niceness?: number): Runner {
    const made = new Runner(name, this.#env, onEmpty, niceness);
    if (this.#closed) void made.close();
    return made;
  }
}
