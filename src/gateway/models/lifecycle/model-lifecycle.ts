/**
 * Which models are loaded, and how that changes while they serve.
 *
 * LIFE-1: what serves is touched only when what replaces it is READY: configuration read, loaded in a runner of its own, warmed,
 *     checked. Then the table is changed once, synchronously (TABLE-1 in model-table.ts).
 * LIFE-2: a request is answered by the version that it found, because between finding and queueing there is no turn of the event
 *     loop (infer.ts). What left the table is ended when it has answered what it had.
 * LIFE-3: orders about one model are carried out one after another; those about different models side by side.
 * LIFE-4: a version never goes where it would leave the model without one that is READY because another failed.
 * LIFE-5: nothing is loaded before there is room for it (model-memory.ts), and no model is evicted that could not be loaded again.
 */

import path from 'node:path';
import { messageOf } from '../../../error-message.ts';
import type { LoadOverride } from '../../accept/control-service.ts';
import type { InferError } from '../../errors.ts';
import { vacancyOf } from '../../repository/model-repository.ts';
import type { LoadFailures } from '../load-failures.ts';
import type { ModelTable } from '../model-table.ts';
import type { Servable } from '../servable.ts';
import { EnsembleSteps, isStep, stepsOf } from './ensemble-steps.ts';
import { evictionOrder } from './eviction-order.ts';
import type { LifecycleOptions } from './lifecycle-options.ts';
import { LoadControl } from './load-control.ts';
import { asLoadFailure, loadFailed, notFound } from './load-refusals.ts';
import { ManagedModel } from './managed-model.ts';
import { ModelReplacement } from './model-replacement.ts';
import { ModelSources, type Origin } from './model-sources.ts';
import { ModelUpload } from './model-upload.ts';
import { loadedBy, reportError, unloadedBy } from './own-change.ts';
import { type IndexEntry, loadFailures, repositoryIndex } from './repository-index.ts';
import { RepositoryListing } from './repository-listing.ts';
import { RepositoryWatch } from './repository-watch.ts';
import { Retirement } from './retirement.ts';
import type { CreateServable } from './servable-factory.ts';
import { reportStrays } from './stray-files.ts';

const NO_OVERRIDE: LoadOverride = { files: new Map() };

export class ModelLifecycle {
  /** Decides which models clients may load and unload. */
  readonly control: LoadControl;
  readonly #options: LifecycleOptions;
  readonly #models: ModelTable;
  readonly #managed = new Map<string, ManagedModel>();
  readonly #origins = new WeakMap<Servable, Origin>();
  readonly #retirement: Retirement;
  readonly #listing: RepositoryListing;
  readonly #sources: ModelSources;
  readonly #replacement: ModelReplacement;
  readonly #watch: RepositoryWatch;

  constructor(models: ModelTable, create: CreateServable, options: LifecycleOptions) {
    this.#models = models;
    this.#options = options;
    this.control = new LoadControl(options.mode, options.allowsUpload);
    const lifecycle = this;
    this.#retirement = new Retirement(models, options.memory, this.#origins);
    this.#listing = new RepositoryListing(options.repository);
    this.#sources = new ModelSources(options.repository, this.#listing, options.defaults);
    const steps = new EnsembleSteps(models, {
      control: this.control,
      free: async (name) => this.#managed.get(name)?.mutex.free,
      load: (name) => loadedBy('ensemble', name, () => this.load(name)),
      isOnDisk: (name) => this.isOnDisk(name),
      peek: (name) => this.#sources.peek(name),
    });
    this.#replacement = new ModelReplacement(models, {
      create,
      control: this.control,
      sources: this.#sources,
      steps,
      retirement: this.#retirement,
      origins: this.#origins,
      memory: options.memory,
      // No model is evicted that would not be loaded again.
      evictor: options.onDemand ? this : undefined,
    });
    this.#watch = new RepositoryWatch(options.repository, this.#listing, {
      get names() {
        return [...lifecycle.#managed.keys()];
      },
      changed: (name) => void this.#follow(name),
      gone: (name) => this.#forget(name),
    });
  }

  /**
   * Puts the models of the start into the table. One that cannot be planned is kept with its reason, and the others serve.
   * @returns why there is no model, if none can come while the server runs
   * @throws RepositoryError where there is no such repository.
   */
  async plan(): Promise<string | undefined> {
    const { mode, initial, repository } = this.#options;
    const found = await this.#listing.open();
    reportStrays(repository, found);
    const onDisk = new Set(found.models);
    const isAll = mode !== 'explicit' || initial.includes('*');
    const named = initial.filter((name) => name !== '*');
    for (const name of isAll ? new Set([...onDisk, ...named]) : new Set(named)) {
      const managed = this.#manage(name);
      try {
        if (!onDisk.has(name)) throw notFound(name, found.models);
        const source = await this.#sources.read(name);
        for (const each of await this.#sources.plan(source)) this.#models.add(this.#replacement.make(each, source));
      } catch (error) {
        managed.problem = messageOf(error);
        this.#models.addBroken(name, managed.problem);
        reportError(`model '${name}' cannot be served: ${managed.problem}`);
      }
    }
    return mode === 'none' ? vacancyOf(repository, found) : undefined;
  }

  /** Loads what `plan` put into the table. Resolves, never rejects, when every model is READY or has failed. */
  async start(): Promise<void> {
    const { mode, pollIntervalMs } = this.#options;
    await Promise.all(
      [...this.#managed.values()].map((managed) => managed.mutex.run(() => this.#replacement.loadFirst(managed))),
    );
    if (mode === 'poll' && !this.control.hasEnded) this.#watch.start(pollIntervalMs);
  }

  /** Every version of every model on disk or loaded, by name, then by version. */
  async index(): Promise<IndexEntry[]> {
    return repositoryIndex(await this.#listing.look(), this.#managed, this.#models);
  }

  failures(): ReadonlyMap<string, LoadFailures> {
    return loadFailures(this.#managed, this.#models);
  }

  /**
   * Loads a model, or loads it again: versions that are new or have changed. Resolves when the new ones answer.
   * @throws InferError `control_disabled`, `model_not_found`, `invalid_request` for what came with it, `load_failed` with what
   *   is wrong with each version, or `queue_full` where there is no room (those before serve on), or `draining`.
   */
  async load(name: string, override: LoadOverride = NO_OVERRIDE): Promise<void> {
    this.control.check();
    this.control.checkOverride(name, override);
    // An unknown name leaves nothing behind.
    const isNew = override.files.size === 0 && !this.#managed.has(name);
    if (isNew && !(await this.#listing.look()).has(name)) throw notFound(name);
    const managed = this.#manage(name);
    await managed.mutex.run(() => this.#load(managed, override));
  }

  /**
   * The versions that would serve after a load from disk, with their directories.
   * @throws InferError `control_disabled` if nothing is loaded while the server runs, or if a load would replace a client's
   *   upload; `model_not_found`; `load_failed` for an invalid configuration.
   */
  async loadable(name: string): Promise<ReadonlyMap<string, string>> {
    this.control.checkLoading(this.#isFromDisk(name), name);
    const plans = await this.#sources.plan(await this.#sources.find(name)).catch(asLoadFailure(name));
    return new Map(plans.map(({ plan: { ref, directory } }) => [ref.version, path.join(directory, ref.version)]));
  }

  /**
   * Loads versions of a model that came to the disk, as `load` does, but also where the disk is polled.
   * @throws InferError as `loadable` and `load` do.
   */
  async loadNew(name: string): Promise<void> {
    this.control.checkLoading(this.#isFromDisk(name), name);
    const managed = this.#manage(name);
    await managed.mutex.run(() => loadedBy('rollout', name, () => this.#load(managed, NO_OVERRIDE)));
  }

  /**
   * Unloads a model, and returns at once: it takes nothing new, answers what it accepted, and then gives its memory back.
   * One that is not there is left as it is.
   * @param dependents for an ensemble: also the models of its steps that no other ensemble needs.
   * @throws InferError `control_disabled`
   */
  unload(name: string, { dependents }: { readonly dependents: boolean }): void {
    this.control.check();
    const managed = this.#managed.get(name);
    if (managed !== undefined) void managed.mutex.run(() => this.#unload(managed, dependents));
  }

  /** Unloads a model to make room. Resolves, never rejects, when its memory is given back. */
  async evict(name: string): Promise<void> {
    const managed = this.#managed.get(name);
    // The mutex is free before the memory is given back.
    const takeOut = () => managed && { ended: this.#takeOut(managed) };
    const retirement = await managed?.mutex.run(() => unloadedBy('eviction', name, takeOut));
    await retirement?.ended;
  }

  /** Models that may be evicted, in the order in which they should be. */
  evictable(): string[] {
    const isFree = (name: string): boolean => this.#managed.get(name)?.mutex.isFree === true;
    return evictionOrder(this.#models, this.#retirement.living, this.#origins, isFree);
  }

  /** Whether the repository has the model, as of a second ago at most. */
  async isOnDisk(name: string): Promise<boolean> {
    return (await this.#listing.recent()).has(name);
  }

  /** Whether the server or the repository has such a model, loaded or not. The disk is asked only where the server has none. */
  async knows(name: string, asOf: 'now' | 'recently'): Promise<boolean> {
    if (this.#managed.has(name) || this.#models.has(name)) return true;
    const names = await (asOf === 'now' ? this.#listing.look() : this.#listing.recent());
    return names.has(name);
  }

  /** Fails what still waits, for any version. */
  abandon(error: InferError): void {
    for (const servable of this.#retirement.living) servable.abandon(error);
  }

  /** From now on nothing is loaded or unloaded; what serves, serves on. */
  end(): void {
    this.control.end();
    this.#watch.stop();
  }

  /** Ends all instances, and removes what clients sent. */
  async close(): Promise<void> {
    this.end();
    await this.#retirement.close();
  }

  /** Whether a load from disk replaces no version that a client sent. */
  #isFromDisk(name: string): boolean {
    return this.#models.versionsOf(name).every((servable) => this.#origins.get(servable)?.isPlain !== false);
  }

  #manage(name: string): ManagedModel {
    const found = this.#managed.get(name);
    if (found !== undefined) return found;
    const made = new ManagedModel(name);
    this.#managed.set(name, made);
    return made;
  }

  async #load(managed: ManagedModel, { config, files }: LoadOverride): Promise<void> {
    const upload = files.size === 0 ? undefined : await ModelUpload.write(managed.name, files);
    if (upload !== undefined) this.#retirement.addUpload(upload);
    try {
      const found = upload === undefined ? await this.#sources.find(managed.name) : { folder: upload.folder };
      const problems = await this.#replacement.replace(managed, { ...found, config, upload }, { again: true });
      if (problems.length > 0) throw loadFailed(managed.name, problems);
    } finally {
      if (upload !== undefined) this.#retirement.discardUnlessUsed(managed.name, upload);
    }
  }

  /** Follows what changed on disk. What is wrong with it is noted, and what served serves on. */
  async #follow(name: string): Promise<void> {
    const managed = this.#manage(name);
    await managed.mutex.run(async () => {
      try {
        await loadedBy('repository', name, async () => {
          const source = await this.#sources.find(name);
          if (source.folder.versions.length === 0) await this.#unload(managed, false);
          const problems = await this.#replacement.replace(managed, source, { again: false });
          if (problems.length > 0) throw loadFailed(name, problems);
        });
      } catch (error) {
        reportError(`model '${name}' was not loaded as it now is on disk: ${messageOf(error)}`);
      }
    });
  }

  #forget(name: string): void {
    const managed = this.#managed.get(name);
    if (managed === undefined) return;
    void managed.mutex.run(async () => {
      await unloadedBy('repository', name, () => this.#unload(managed, false));
      this.#managed.delete(name);
      this.#models.forget(name);
    });
  }

  async #unload(managed: ManagedModel, dependents: boolean): Promise<void> {
    const gone = this.#models.versionsOf(managed.name);
    const retired = this.#takeOut(managed);
    if (!dependents) return;
    // Steps still answer what their ensemble accepted.
    void retired.then(() => {
      for (const step of stepsOf(gone)) {
        if (!isStep(step, this.#retirement.living) && !this.control.hasEnded) this.unload(step, { dependents: true });
      }
    });
  }

  /** Removes it from the table. Resolves, never rejects, when its memory is freed. */
  async #takeOut(managed: ManagedModel): Promise<void> {
    const gone = this.#models.versionsOf(managed.name);
    const isBroken = this.#models.broken.has(managed.name);
    managed.forget();
    if (gone.length === 0 && !isBroken) return;
    this.#models.serve(managed.name, []);
    await Promise.all(gone.map((servable) => this.#retirement.retire(managed, servable, false)));
  }
}
