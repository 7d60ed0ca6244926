/** The runners of the server: one for each model version, or one for all versions that name it. */

import type { ModelRef } from '../ops/diagnostics.ts';
import { Runner } from './runner.ts';

export class RunnerSet {
  readonly #env: NodeJS.ProcessEnv;
  readonly #runners = new Map<string, Runner>();

  /** `env` is what runner processes see. */
  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  /** @param shared the name of a runner that several model versions share. */
  runnerFor({ name, version }: ModelRef, shared: string | undefined): Runner {
    // A model name cannot hold a colon, so the two kinds of names never meet.
    const key = shared ?? `${name}:${version}`;
    const found = this.#runners.get(key);
    if (found !== undefined) return found;
    const made = new Runner(key, this.#env);
    this.#runners.set(key, made);
    return made;
  }

  close(): void {
    for (const runner of this.#runners.values()) runner.close();
  }
}
