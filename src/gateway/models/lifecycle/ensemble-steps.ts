/** The steps of ensembles. In mode explicit they are loaded before their ensemble, and unloaded after it. */

import { InferError } from '../../errors.ts';
import type { ModelTable } from '../model-table.ts';
import type { Servable } from '../servable.ts';
import type { LoadControl } from './load-control.ts';

export interface StepLoader {
  /** Steps that are not READY are loaded while clients may load models. */
  readonly control: Pick<LoadControl, 'isOpen'>;
  /** Resolves when the orders about a model so far are carried out. */
  free(name: string): Promise<void>;
  load(name: string): Promise<void>;
  isOnDisk(name: string): Promise<boolean>;
  /** The versions that a load of a model on disk would make; empty where it cannot be planned. */
  peek(name: string): Promise<readonly Pick<Servable, 'config'>[]>;
}

export class EnsembleSteps {
  readonly #models: ModelTable;
  readonly #loader: StepLoader;

  constructor(models: ModelTable, loader: StepLoader) {
    this.#models = models;
    this.#loader = loader;
  }

  /** Resolves when the steps of `versions` are loaded or have failed. @throws InferError `queue_full` where one has no room */
  async awaitSteps(name: string, versions: readonly Servable[]): Promise<void> {
    const steps = stepsOf(versions);
    if (steps.size === 0) return;
    // Each waits for the orders about its steps: a circle would wait forever.
    if (await this.#leadsBack(name, steps)) return;
    await Promise.all([...steps].map((step) => this.#awaitStep(step)));
  }

  async #awaitStep(step: string): Promise<void> {
    await this.#loader.free(step);
    const isThere = this.#models.versionsOf(step).some(({ state }) => state === 'READY');
    if (isThere || !this.#loader.control.isOpen) return;
    await this.#loader.load(step).catch((error: unknown) => {
      // The ensemble that misses the step reports every other reason.
      if (error instanceof InferError && error.reason === 'queue_full') throw error;
    });
  }

  /** Whether an ensemble is, by way of other ensembles, a step of itself. Only those on disk or in the table can be. */
  async #leadsBack(
    name: string,
    steps: ReadonlySet<string>,
    passed: ReadonlySet<string> = new Set(),
  ): Promise<boolean> {
    for (const step of steps) {
      if (step === name) return true;
      if (passed.has(step)) continue;
      const onDisk = await this.#loader.isOnDisk(step);
      const versions = onDisk ? await this.#loader.peek(step) : this.#models.versionsOf(step);
      if (await this.#leadsBack(name, stepsOf(versions), new Set([...passed, ...steps]))) return true;
    }
    return false;
  }
}

/** Names of the models that ensembles ask; empty for other models. */
export function stepsOf(versions: readonly Pick<Servable, 'config'>[]): ReadonlySet<string> {
  return new Set(
    versions.flatMap(({ config }) => config.ensemble_scheduling?.step ?? []).map((step) => step.model_name),
  );
}

/** Whether an ensemble among `living` asks the model. */
export function isStep(name: string, living: readonly Servable[]): boolean {
  return living.some((servable) => stepsOf([servable]).has(name));
}
