/** Loads the versions of a model that its source names, and puts them in the place of those that serve, as `replacement.ts` decides. */

import { messageOf } from '../../../error-message.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import { usableCores } from '../../ops/machine-capacity.ts';
import type { ModelTable } from '../model-table.ts';
import type { Servable } from '../servable.ts';
import type { EnsembleSteps } from './ensemble-steps.ts';
import type { LoadControl } from './load-control.ts';
import { asLoadFailure, ending, isLoadProblem } from './load-refusals.ts';
import { LoadSlots } from './load-slots.ts';
import type { ManagedModel } from './managed-model.ts';
import type { Evictor, ModelMemory } from './model-memory.ts';
import { type IdentifiedPlan, type ModelSources, type Origin, originOf, type Source } from './model-sources.ts';
import { reportFirstLoad } from './own-change.ts';
import { completeReplacement, planReplacement, type ServedVersion } from './replacement.ts';
import type { Retirement } from './retirement.ts';
import type { CreateServable } from './servable-factory.ts';

interface ReplacementParts {
  readonly create: CreateServable;
  readonly control: Pick<LoadControl, 'hasEnded'>;
  readonly sources: Pick<ModelSources, 'plan'>;
  readonly steps: EnsembleSteps;
  readonly retirement: Retirement;
  /** Where the versions that are made here come from. */
  readonly origins: WeakMap<Servable, Origin>;
  readonly memory: ModelMemory;
  /** `undefined`: no model is evicted. */
  readonly evictor: Evictor | undefined;
}

export class ModelReplacement {
  readonly #models: ModelTable;
  readonly #create: CreateServable;
  readonly #control: ReplacementParts['control'];
  readonly #sources: Pick<ModelSources, 'plan'>;
  readonly #steps: EnsembleSteps;
  readonly #retirement: Retirement;
  readonly #origins: WeakMap<Servable, Origin>;
  readonly #memory: ModelMemory;
  readonly #evictor: Evictor | undefined;
  readonly #slots = new LoadSlots(Math.max(1, Math.floor(usableCores())));

  constructor(models: ModelTable, parts: ReplacementParts) {
    this.#models = models;
    this.#create = parts.create;
    this.#control = parts.control;
    this.#sources = parts.sources;
    this.#steps = parts.steps;
    this.#retirement = parts.retirement;
    this.#origins = parts.origins;
    this.#memory = parts.memory;
    this.#evictor = parts.evictor;
  }

  /** A version that is not loaded yet. */
  make({ plan, identity }: IdentifiedPlan, source: Source): Servable {
    const made = this.#create(plan);
    this.#origins.set(made, originOf(source, identity));
    return made;
  }

  /** Loads the versions that the table got at the start. */
  async loadFirst(managed: ManagedModel): Promise<void> {
    const { name } = managed;
    const versions = this.#models.versionsOf(name);
    try {
      await this.#steps.awaitSteps(name, versions);
      await this.#loadInRoom(versions);
    } catch (error) {
      managed.problem = messageOf(error);
      this.#models.forget(name);
      if (this.#evictor === undefined) this.#models.addBroken(name, managed.problem);
      diagnostics.notice.publish({ level: 'error', text: `model '${name}' is not loaded: ${managed.problem}` });
      for (const servable of versions) void this.#retirement.retire(managed, servable, true);
      reportFirstLoad(name, versions, managed.problem);
      return;
    }
    reportFirstLoad(name, versions);
    for (const servable of versions) {
      const { state, detail, ref } = servable;
      const identity = this.#origins.get(servable)?.identity;
      if (state === 'UNAVAILABLE' && identity !== undefined)
        managed.notes.set(ref.version, { state, reason: detail, identity });
    }
  }

  /**
   * Makes a model what its source says, version by version.
   * @param order.again whether what failed before is tried again as it is.
   * @returns the failures, a text for each version.
   * @throws InferError `load_failed` where no version could be tried, `queue_full` where there is no room, or `draining`.
   */
  async replace(managed: ManagedModel, source: Source, order: { readonly again: boolean }): Promise<string[]> {
    const { name, notes } = managed;
    const wanted = await this.#sources.plan(source).catch((error: unknown) => {
      if (isLoadProblem(error)) managed.problem = error.message;
      return asLoadFailure(name)(error);
    });
    managed.problem = '';
    const before = this.#models.versionsOf(name).map((servable) => this.#describe(servable));
    const failedBefore = new Map([...notes].map(([version, { identity }]) => [version, identity]));
    const { keep, load } = planReplacement(before, wanted, failedBefore, order.again);
    const candidates = load.map((each) => this.make(each, source));
    try {
      await this.#loadAside(managed, candidates);
      if (this.#control.hasEnded) throw ending();
    } catch (error) {
      for (const candidate of candidates) this.#retirement.end(candidate);
      if (!this.#control.hasEnded) managed.problem = messageOf(error);
      throw error;
    }
    const failed = candidates.filter(({ state }) => state !== 'READY');
    for (const candidate of failed) this.#noteFailure(managed, candidate);
    const loaded = candidates.filter(({ state }) => state === 'READY').map((servable) => this.#describe(servable));
    const { serve, retire } = completeReplacement(before, wanted, keep, loaded, failed.length > 0);
    this.#models.serve(
      name,
      serve.map(({ servable }) => servable),
    );
    for (const { version } of [...keep, ...loaded]) notes.delete(version);
    for (const { served, isReplaced } of retire) {
      void this.#retirement.retire(managed, served.servable, isReplaced);
    }
    return failed.map(({ ref, state, detail }) => `version ${ref.version} is at ${state} state: ${detail};`);
  }

  #describe(servable: Servable): ServedVersion & { readonly servable: Servable } {
    const { version } = servable.ref;
    const identity = this.#origins.get(servable)?.identity;
    return {
      version,
      identity,
      // A version may lose its runner for good while others load.
      get isReady() {
        return servable.state === 'READY';
      },
      servable,
    };
  }

  #noteFailure({ notes }: ManagedModel, candidate: Servable): void {
    this.#retirement.end(candidate);
    const { ref, state, detail: reason } = candidate;
    notes.set(ref.version, { state, reason, identity: this.#origins.get(candidate)?.identity ?? '' });
  }

  /** Loads versions that no one can find yet. */
  async #loadAside({ name, notes }: ManagedModel, candidates: readonly Servable[]): Promise<void> {
    for (const { ref } of candidates) notes.set(ref.version, { state: 'LOADING', reason: 'loading' });
    try {
      await this.#retirement.during(candidates, async () => {
        await this.#steps.awaitSteps(name, candidates);
        await this.#loadInRoom(candidates, this.#evictor);
      });
    } finally {
      for (const { ref } of candidates) notes.delete(ref.version);
    }
  }

  /** @throws InferError `queue_full` where there is no room for them. They may be loaded all the same, and have to be ended. */
  async #loadInRoom(versions: readonly Servable[], evictor?: Evictor): Promise<void> {
    const memory = this.#memory;
    await memory.reserve(versions, evictor);
    await Promise.all(versions.map((servable) => this.#slots.run(() => this.#loadUnlessClosed(servable))));
    await memory.commit(versions, evictor);
  }

  async #loadUnlessClosed(servable: Servable): Promise<void> {
    if (!this.#control.hasEnded) await servable.load();
  }
}
