/** Reports a load that takes long: for how long, and how far it is, as memory shows it. */

import { processMemory } from '../dispatch/process-memory.ts';
import { mebibytes } from '../ops/capacity.ts';
import { diagnostics, type ModelRef } from '../ops/diagnostics.ts';
import { type ModelWeights, readModelWeights } from '../repository/model-weights.ts';

/** A load that is over sooner is not reported. */
const PERIOD_MS = 5_000;

interface LoadInProgress {
  readonly model: ModelRef;
  readonly modelPath: string;
  /** Process of the runner, once it has started. */
  readonly pid: () => number | undefined;
  readonly limitMs: number;
}

/** Reports every few seconds until it is disposed. */
export class LoadProgress implements Disposable {
  readonly #load: LoadInProgress;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #weights: Promise<ModelWeights> | undefined;
  #isOver = false;

  constructor(load: LoadInProgress, periodMs: number = PERIOD_MS) {
    this.#load = load;
    this.#timer = setInterval(() => void this.#report(), periodMs).unref();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearInterval(this.#timer);
  }

  async #report(): Promise<void> {
    const { model, modelPath, pid, limitMs } = this.#load;
    const process = pid();
    const held = process === undefined ? undefined : await processMemory(process);
    this.#weights ??= readModelWeights(modelPath).catch(() => ({ inline: 0, external: 0 }));
    const { inline, external } = await this.#weights;
    if (this.#isOver) return;
    const seconds = Math.round((performance.now() - this.#startedAt) / 1_000);
    const memory = held === undefined ? '' : `, its process holds ${mebibytes(held)}`;
    const text = `model '${model.name}' version ${model.version} has been loading for ${seconds} s: its files have ${mebibytes(inline + external)}${memory}; each instance may take ${Math.round(limitMs / 1_000)} s (--runner-start-timeout-ms)`;
    diagnostics.notice.publish({ level: 'info', text });
  }
}
