/**
 * Which models are loaded, and how that changes while they serve.
 *
 * L1: what serves is touched only when what replaces it is READY: configuration read, loaded in a runner of its own, warmed,
 *     checked. Then the table is changed once, synchronously (V1 in model-table.ts).
 * L2: a request is answered by the version that it found, because between finding and queueing there is no turn of the event
 *     loop (infer.ts). What left the table is ended when it has answered what it had.
 * L3: orders about one model are carried out one after another; those about different models side by side.
 * L4: a version never goes where it would leave the model without one that is READY because another failed.
 * L5: nothing is loaded before there is room for it (model-memory.ts), and no model is evicted that could not be loaded again.
 */

import os from 'node:os';
import path from 'node:path';
import { messageOf } from '../../../error-message.ts';
import type { LoadOverride } from '../../accept/control-service.ts';
import { InferError } from '../../errors.ts';
import { diagnostics, type ModelRef, type ModelState } from '../../ops/diagnostics.ts';
import { ModelConfigError } from '../../repository/config/model-config.ts';
import { DiskTimeout } from '../../repository/disk.ts';
import { fingerprintModel } from '../../repository/fingerprint.ts';
import { isModelName, type ModelFolder, type RepositoryNames, readModel } from '../../repository/model-repository.ts';
import { compareVersions } from '../../repository/version-number.ts';
import type { ModelPlan } from '../model.ts';
import { type PlanDefaults, planModel } from '../model-plan.ts';
import type { ModelTable } from '../model-table.ts';
import type { Servable } from '../servable.ts';
import { LoadSlots } from './load-slots.ts';
import type { Exits, ModelMemory } from './model-memory.ts';
import { ModelUpload } from './model-upload.ts';
import { RepositoryListing } from './repository-listing.ts';
import { RepositoryWatch } from './repository-watch.ts';
import type { CreateServable } from './servable-factory.ts';
import { Turns } from './turns.ts';

/** `none`: the models at start. `poll`: also changes on disk. `explicit`: the models that are named or that clients load. */
export type ControlMode = 'none' | 'poll' | 'explicit';

export interface LifecycleOptions {
  /** The directory of the models. */
  readonly repository: string;
  readonly mode: ControlMode;
  /** Loaded at the start in mode `explicit`; `*` is all. */
  readonly initial: readonly string[];
  /** Between looks at the repository in mode `poll`. */
  readonly pollIntervalMs: number;
  /** Whether files of models are taken from clients. */
  readonly allowsUpload: boolean;
  /** Whether evicted models are loaded again on demand. */
  readonly onDemand: boolean;
  readonly memory: ModelMemory;
  readonly defaults: PlanDefaults;
}

/** `RepositoryIndexResponse.ModelIndex`. */
export interface IndexEntry {
  readonly name: string;
  /** Empty for a model without any version that was tried. */
  readonly version: string;
  /** Empty for a model that was never loaded. */
  readonly state: '' | ModelState;
  /** Why it is in that state; of a READY version, why a newer one could not take its place. */
  readonly reason: string;
}

const NO_OVERRIDE: LoadOverride = { files: new Map() };

/** State of a model beyond its versions in the table. */
interface Managed {
  readonly name: string;
  readonly turns: Turns;
  /** By version: how it stands with one that is not in the table, or why one that is could not be replaced. */
  readonly notes: Map<string, Note>;
  /** Why none of its versions could be tried, at the last order. */
  problem: string;
}

interface Note {
  readonly state: ModelState;
  readonly reason: string;
  /** Fingerprint of a failed load: time by itself does not retry it. */
  readonly identity?: string;
}

/** What a version was made from. */
interface Source {
  readonly folder: ModelFolder;
  readonly config: string | undefined;
  readonly upload: ModelUpload | undefined;
}

interface Made {
  /** Versions of equal identity are the same: files, and configuration. */
  readonly identity: string;
  readonly upload: ModelUpload | undefined;
  /** From the repository, with the configuration on disk. */
  readonly isPlain: boolean;
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
}

export class ModelLifecycle {
  readonly #options: LifecycleOptions;
  readonly #models: ModelTable;
  readonly #create: CreateServable;
  readonly #slots = new LoadSlots(os.availableParallelism());
  readonly #managed = new Map<string, Managed>();
  readonly #made = new WeakMap<Servable, Made>();
  /** Out of the table, and answering what they accepted; or not yet in it. */
  readonly #aside = new Set<Servable>();
  readonly #uploads = new Set<ModelUpload>();
  readonly #listing: RepositoryListing;
  readonly #watch: RepositoryWatch;
  #closed = false;

  constructor(models: ModelTable, create: CreateServable, options: LifecycleOptions) {
    this.#models = models;
    this.#create = create;
    this.#options = options;
    const lifecycle = this;
    this.#listing = new RepositoryListing(options.repository);
    this.#watch = new RepositoryWatch(options.repository, this.#listing, {
      get names() {
        return [...lifecycle.#managed.keys()];
      },
      changed: (name) => void this.#follow(name),
      gone: (name) => this.#forget(name),
    });
  }

  /** Whether clients may load and unload. */
  get controllable(): boolean {
    return this.#options.mode === 'explicit';
  }

  /** Whether files of models are taken from clients. */
  get takesFiles(): boolean {
    return this.controllable && this.#options.allowsUpload;
  }

  /** Why clients may not load and unload now, if so. */
  get controlRefusal(): InferError | undefined {
    if (this.#closed) return ending();
    if (this.controllable) return undefined;
    const text = `explicit model load / unload is not allowed if polling is enabled: start the server with --model-control-mode explicit, not ${this.#options.mode}`;
    return new InferError('control_disabled', text);
  }

  /**
   * Puts the models of the start into the table. One that cannot be planned is kept with its reason, and the others serve.
   * @throws RepositoryError where there is no such repository.
   */
  async plan(): Promise<void> {
    const { mode, initial } = this.#options;
    const found = await this.#listing.open();
    reportStrays(this.#options.repository, found);
    const onDisk = new Set(found.models);
    const isAll = mode !== 'explicit' || initial.includes('*');
    const named = initial.filter((name) => name !== '*');
    for (const name of isAll ? new Set([...onDisk, ...named]) : new Set(named)) {
      const managed = this.#manage(name);
      try {
        if (!onDisk.has(name)) throw notFound(name);
        const source = await this.#read(name);
        for (const { plan, identity } of await this.#plan(source)) this.#models.add(this.#make(plan, source, identity));
      } catch (error) {
        managed.problem = messageOf(error);
        this.#models.addBroken(name, managed.problem);
        notify('error', `model '${name}' cannot be served: ${managed.problem}`);
      }
    }
  }

  /** Loads what `plan` put into the table. Resolves, never rejects, when every model is READY or has failed. */
  async start(): Promise<void> {
    const { mode, pollIntervalMs } = this.#options;
    await Promise.all(
      [...this.#managed.values()].map((managed) => managed.turns.take(() => this.#loadFirst(managed, managed.name))),
    );
    if (mode === 'poll' && !this.#closed) this.#watch.start(pollIntervalMs);
  }

  /** Every version of every model on disk or loaded, by name, then by version. */
  async index(): Promise<IndexEntry[]> {
    const onDisk = await this.#listing.look();
    const names = new Set([...onDisk, ...this.#managed.keys(), ...this.#models.names()]);
    return [...names].sort().flatMap((name) => this.#entriesOf(name));
  }

  /**
   * Loads a model, or loads it again: versions that are new or have changed. Resolves when the new ones answer.
   * @throws InferError `control_disabled`, `model_not_found`, `invalid_request` for what came with it, `load_failed` with what
   *   is wrong with each version, or `queue_full` where there is no room (those before serve on), or `draining`.
   */
  async load(name: string, override: LoadOverride = NO_OVERRIDE): Promise<void> {
    this.#checkControl();
    const { config, files } = override;
    if (files.size > 0 && !this.#options.allowsUpload) {
      const text = `files of a model ('file:…') are not taken from clients: put them into the model repository, or start the server with --allow-model-upload`;
      throw new InferError('control_disabled', text);
    }
    if (files.size > 0 && config === undefined) {
      throw new InferError('invalid_request', `load parameter 'config' is missing: it has to come with 'file:…'`);
    }
    if (files.size > 0 && !isModelName(name)) {
      throw new InferError('invalid_request', `'${name.slice(0, 128)}' is no model name`);
    }
    // An unknown name leaves nothing behind.
    const isNew = files.size === 0 && !this.#managed.has(name);
    if (isNew && !(await this.#listing.look()).has(name)) throw notFound(name);
    const managed = this.#manage(name);
    await managed.turns.take(() => this.#load(managed, override));
  }

  /**
   * The versions that would serve after a load from disk, with their directories.
   * @throws InferError `control_disabled` if nothing is loaded while the server runs, or if a load would replace a client's
   *   upload; `model_not_found`; `load_failed` for an invalid configuration.
   */
  async loadable(name: string): Promise<ReadonlyMap<string, string>> {
    this.#checkLoading(name);
    const plans = await this.#plan(await this.#find(name)).catch(asLoadFailure(name));
    return new Map(plans.map(({ plan: { ref, directory } }) => [ref.version, path.join(directory, ref.version)]));
  }

  /**
   * Loads versions of a model that came to the disk, as `load` does, but also where the disk is polled.
   * @throws InferError as `loadable` and `load` do.
   */
  async loadNew(name: string): Promise<void> {
    this.#checkLoading(name);
    const managed = this.#manage(name);
    await managed.turns.take(() => this.#load(managed, NO_OVERRIDE));
  }

  /**
   * Unloads a model, and returns at once: it takes nothing new, answers what it accepted, and then gives its memory back.
   * One that is not there is left as it is.
   * @param dependents for an ensemble: also the models of its steps that no other ensemble needs.
   * @throws InferError `control_disabled`
   */
  unload(name: string, { dependents }: { readonly dependents: boolean }): void {
    this.#checkControl();
    const managed = this.#managed.get(name);
    if (managed !== undefined) void managed.turns.take(() => this.#unload(managed, dependents));
  }

  /** Unloads a model to make room. Resolves, never rejects, when its memory is given back. */
  async putOut(name: string): Promise<void> {
    const managed = this.#managed.get(name);
    let retired: Promise<void> | undefined;
    await managed?.turns.take(async () => {
      retired = this.#takeOut(managed);
    });
    await retired;
  }

  /**
   * Models that may be evicted, the least recently used or loaded first. Never a model that is pinned, needed by an ensemble, waited
   * for by requests, being loaded or unloaded, or that a plain load would not restore as it is.
   */
  dispensable(): string[] {
    const usedAt = (servable: Servable): number =>
      Math.max(servable.statistics.lastUsedMs, this.#made.get(servable)?.atMs ?? 0);
    return this.#models
      .names()
      .filter((name) => this.#isDispensable(name))
      .map((name) => ({ name, usedAtMs: Math.max(...this.#models.versionsOf(name).map(usedAt)) }))
      .sort((a, b) => a.usedAtMs - b.usedAtMs)
      .map(({ name }) => name);
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
    for (const servable of [...this.#models.all(), ...this.#aside]) servable.abandon(error);
  }

  /** From now on nothing is loaded or unloaded; what serves, serves on. */
  end(): void {
    this.#closed = true;
    this.#watch.stop();
  }

  /** Ends all instances, and removes what clients sent. */
  async close(): Promise<void> {
    this.end();
    for (const servable of [...this.#models.all(), ...this.#aside]) this.#end(servable);
    await Promise.all([...this.#uploads].map((upload) => upload.remove()));
  }

  #checkControl(): void {
    const refusal = this.controlRefusal;
    if (refusal !== undefined) throw refusal;
  }

  #checkLoading(name: string): void {
    if (this.#closed) throw ending();
    if (this.#options.mode === 'none') {
      const text = `nothing is loaded while the server runs: restart it, or start it with --model-control-mode explicit or poll`;
      throw new InferError('control_disabled', text);
    }
    if (this.#models.versionsOf(name).every((servable) => this.#made.get(servable)?.isPlain !== false)) return;
    const text = `'${name}' serves versions that a client sent, and a load from disk would replace them`;
    throw new InferError('control_disabled', text);
  }

  #manage(name: string): Managed {
    const found = this.#managed.get(name);
    if (found !== undefined) return found;
    const made = { name, turns: new Turns(), notes: new Map(), problem: '' };
    this.#managed.set(name, made);
    return made;
  }

  /** The model's folder as it is now. @throws InferError `model_not_found` */
  async #find(name: string): Promise<Source> {
    if (!(await this.#listing.look()).has(name)) throw notFound(name);
    return this.#read(name);
  }

  /** @param name one that the repository has. */
  async #read(name: string): Promise<Source> {
    const folder = await readModel(this.#options.repository, name).catch(asLoadFailure(name));
    return { folder, config: undefined, upload: undefined };
  }

  /** @throws ModelConfigError with the reason why no version can be tried. */
  async #plan({ folder, config, upload }: Source): Promise<{ plan: ModelPlan; identity: string }[]> {
    const fingerprint = await fingerprintModel(folder.directory);
    const plans = await planModel(folder, this.#options.defaults, { configOverride: config, fingerprint });
    // An upload always differs from the loaded versions.
    const from = JSON.stringify([config, upload?.folder.directory]);
    return plans.map((plan) => ({ plan, identity: `${from}\n${plan.fingerprint}` }));
  }

  #make(plan: ModelPlan, { upload, config }: Source, identity: string): Servable {
    const made = this.#create(plan);
    this.#made.set(made, {
      identity,
      upload,
      isPlain: upload === undefined && config === undefined,
      atMs: performance.now(),
    });
    return made;
  }

  /** Loads the versions that the table got at the start. */
  async #loadFirst(managed: Managed, name: string): Promise<void> {
    const versions = this.#models.versionsOf(name);
    try {
      await this.#awaitSteps(managed, versions);
      await this.#loadInRoom(versions);
    } catch (error) {
      managed.problem = messageOf(error);
      this.#models.forget(name);
      if (!this.#options.onDemand) this.#models.addBroken(name, managed.problem);
      notify('error', `model '${name}' is not loaded: ${managed.problem}`);
      for (const servable of versions) void this.#retire(managed, servable, true);
      return;
    }
    for (const servable of versions) {
      const { state, detail, ref } = servable;
      const identity = this.#made.get(servable)?.identity;
      if (state === 'UNAVAILABLE' && identity !== undefined)
        managed.notes.set(ref.version, { state, reason: detail, identity });
    }
  }

  /** @throws InferError `queue_full` where there is no room for them. They may be loaded all the same, and have to be ended. */
  async #loadInRoom(versions: readonly Servable[], exits?: Exits): Promise<void> {
    const { memory } = this.#options;
    await memory.reserve(versions, exits);
    await Promise.all(versions.map((servable) => this.#slots.run(() => this.#loadUnlessClosed(servable))));
    await memory.settle(versions, exits);
  }

  async #loadUnlessClosed(servable: Servable): Promise<void> {
    if (!this.#closed) await servable.load();
  }

  #end(servable: Servable): void {
    servable.close();
    this.#options.memory.leave(servable);
  }

  async #load(managed: Managed, { config, files }: LoadOverride): Promise<void> {
    const upload = files.size === 0 ? undefined : await ModelUpload.write(managed.name, files);
    if (upload !== undefined) this.#uploads.add(upload);
    try {
      const found = upload === undefined ? await this.#find(managed.name) : { folder: upload.folder };
      const problems = await this.#replace(managed, { ...found, config, upload }, { again: true });
      if (problems.length > 0) throw loadFailed(managed.name, problems);
    } finally {
      if (upload !== undefined && !this.#isServed(managed.name, upload)) this.#discard(upload);
    }
  }

  /** Follows what changed on disk. What is wrong with it is noted, and what served serves on. */
  async #follow(name: string): Promise<void> {
    const managed = this.#manage(name);
    await managed.turns.take(async () => {
      try {
        const source = await this.#find(name);
        if (source.folder.versions.length === 0) await this.#unload(managed, false);
        const problems = await this.#replace(managed, source, { again: false });
        if (problems.length > 0) throw loadFailed(name, problems);
      } catch (error) {
        notify('error', `model '${name}' was not loaded as it now is on disk: ${messageOf(error)}`);
      }
    });
  }

  #forget(name: string): void {
    const managed = this.#managed.get(name);
    if (managed === undefined) return;
    void managed.turns.take(async () => {
      await this.#unload(managed, false);
      this.#managed.delete(name);
      this.#models.forget(name);
    });
  }

  /**
   * Makes a model what its source says, version by version.
   * @param order.again whether what failed before is tried again as it is.
   * @returns what went wrong, a text for each version.
   * @throws InferError `load_failed` where no version could be tried, `queue_full` where there is no room, or `draining`.
   */
  async #replace(managed: Managed, source: Source, order: { readonly again: boolean }): Promise<string[]> {
    const { name, notes } = managed;
    const wanted = await this.#plan(source).catch((error: unknown) => {
      if (error instanceof ModelConfigError || error instanceof DiskTimeout) managed.problem = error.message;
      return asLoadFailure(name)(error);
    });
    managed.problem = '';
    const before = this.#models.versionsOf(name);
    const kept = before.filter((servable) => wanted.some(({ plan, identity }) => this.#is(servable, plan, identity)));
    const failedBefore = wanted.filter(({ plan, identity }) => notes.get(plan.ref.version)?.identity === identity);
    const candidates = wanted
      .filter(({ plan, identity }) => !kept.some((servable) => this.#is(servable, plan, identity)))
      .filter((each) => order.again || !failedBefore.includes(each))
      .map(({ plan, identity }) => this.#make(plan, source, identity));
    try {
      await this.#loadAside(managed, candidates);
      if (this.#closed) throw ending();
    } catch (error) {
      for (const candidate of candidates) this.#end(candidate);
      if (!this.#closed) managed.problem = messageOf(error);
      throw error;
    }
    const failed = candidates.filter(({ state }) => state !== 'READY');
    for (const candidate of failed) {
      this.#end(candidate);
      const { ref, state, detail: reason } = candidate;
      notes.set(ref.version, { state, reason, identity: this.#made.get(candidate)?.identity ?? '' });
    }
    const loaded = candidates.filter((candidate) => !failed.includes(candidate));
    const after = this.#settle(before, { kept, loaded, wanted: wanted.map(({ plan }) => plan.ref), failed });
    this.#models.serve(name, after);
    for (const { ref } of [...kept, ...loaded]) notes.delete(ref.version);
    for (const servable of before) {
      if (after.includes(servable)) continue;
      const isReplaced = after.some(({ ref }) => ref.version === servable.ref.version);
      void this.#retire(managed, servable, isReplaced);
    }
    return failed.map(({ ref, state, detail }) => `version ${ref.version} is at ${state} state: ${detail};`);
  }

  /** What there is of a model after the candidates have loaded, or not. */
  #settle(
    before: readonly Servable[],
    {
      kept,
      loaded,
      wanted,
      failed,
    }: Record<'kept' | 'loaded' | 'failed', readonly Servable[]> & { wanted: readonly ModelRef[] },
  ): Servable[] {
    const after = [...kept, ...loaded];
    const isServing = after.some(({ state }) => state === 'READY');
    for (const servable of before) {
      if (after.some(({ ref }) => ref.version === servable.ref.version)) continue;
      const isWanted = wanted.some(({ version }) => version === servable.ref.version);
      // L4. One that is wanted has failed to be replaced.
      if (isWanted || (failed.length > 0 && !isServing)) after.push(servable);
    }
    return after;
  }

  #is(servable: Servable, plan: ModelPlan, identity: string): boolean {
    const isSame = servable.ref.version === plan.ref.version && this.#made.get(servable)?.identity === identity;
    return isSame && servable.state === 'READY';
  }

  /** Loads versions that no request can find yet. */
  async #loadAside(managed: Managed, candidates: readonly Servable[]): Promise<void> {
    for (const candidate of candidates) {
      this.#aside.add(candidate);
      managed.notes.set(candidate.ref.version, { state: 'LOADING', reason: 'loading' });
    }
    try {
      await this.#awaitSteps(managed, candidates);
      await this.#loadInRoom(candidates, this.#exits);
    } finally {
      for (const candidate of candidates) {
        this.#aside.delete(candidate);
        managed.notes.delete(candidate.ref.version);
      }
    }
  }

  /** Loads the models of an ensemble's steps first, if clients decide which models are loaded. */
  async #awaitSteps(managed: Managed, versions: readonly Servable[]): Promise<void> {
    const steps = new Set(versions.flatMap((servable) => [...stepsOf(servable)]));
    if (steps.size === 0) return;
    // Each waits for the orders about its steps: a circle would wait for ever.
    if (await this.#leadsBack(managed.name, steps)) return;
    await Promise.all(
      [...steps].map(async (step) => {
        await this.#managed.get(step)?.turns.quiet;
        const isThere = this.#models.versionsOf(step).some(({ state }) => state === 'READY');
        if (isThere || !this.controllable || this.#closed) return;
        await this.load(step).catch((error: unknown) => {
          // The ensemble that misses the step reports other failures.
          if (error instanceof InferError && error.reason === 'queue_full') throw error;
        });
      }),
    );
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
      const further = new Set(await this.#plannedSteps(step));
      if (await this.#leadsBack(name, further, new Set([...passed, ...steps]))) return true;
    }
    return false;
  }

  async #plannedSteps(name: string): Promise<readonly string[]> {
    if (!(await this.isOnDisk(name))) {
      return this.#models.versionsOf(name).flatMap((servable) => [...stepsOf(servable)]);
    }
    try {
      const { folder } = await this.#read(name);
      return (await planModel(folder, this.#options.defaults)).flatMap((plan) => [...stepsOf(plan)]);
    } catch {
      return []; // What cannot be planned waits for nothing.
    }
  }

  async #unload(managed: Managed, dependents: boolean): Promise<void> {
    const gone = this.#models.versionsOf(managed.name);
    const retired = this.#takeOut(managed);
    if (!dependents) return;
    // Steps still answer what their ensemble accepted.
    const steps = new Set(gone.flatMap((servable) => [...stepsOf(servable)]));
    void retired.then(() => {
      for (const step of steps) if (!this.#isNeeded(step) && !this.#closed) this.unload(step, { dependents: true });
    });
  }

  /** Removes it from the table. Resolves, never rejects, when its memory is freed. */
  async #takeOut(managed: Managed): Promise<void> {
    const { name } = managed;
    const gone = this.#models.versionsOf(name);
    const isBroken = this.#models.broken.has(name);
    managed.notes.clear();
    managed.problem = '';
    if (gone.length === 0 && !isBroken) return;
    this.#models.serve(name, []);
    await Promise.all(gone.map((servable) => this.#retire(managed, servable, false)));
  }

  #isNeeded(step: string): boolean {
    return [...this.#models.all(), ...this.#aside].some((servable) => stepsOf(servable).has(step));
  }

  #isDispensable(name: string): boolean {
    const versions = this.#models.versionsOf(name);
    if (versions.length === 0 || this.#managed.get(name)?.turns.isQuiet !== true || this.#isNeeded(name)) return false;
    return versions.every((servable) => {
      const { config, queuedRequests } = servable;
      return !config.tensorgate.pinned && queuedRequests === 0 && this.#made.get(servable)?.isPlain === true;
    });
  }

  /** The eviction candidates: none if evicted models would not be loaded again. */
  get #exits(): Exits | undefined {
    return this.#options.onDemand ? this : undefined;
  }

  /** Ends what left the table when it has answered what it accepted. Never rejects. */
  async #retire({ notes }: Managed, servable: Servable, isReplaced: boolean): Promise<void> {
    const { ref } = servable;
    const tell = (state: ModelState, reason: string): void => {
      if (isReplaced) return;
      notes.set(ref.version, { state, reason });
      diagnostics.modelChanged.publish({ model: ref, state, detail: reason });
    };
    this.#aside.add(servable);
    tell('UNLOADING', 'answers what it accepted');
    await servable.drained();
    this.#end(servable);
    this.#aside.delete(servable);
    // Unless it was loaded again meanwhile.
    if (notes.get(ref.version)?.state === 'UNLOADING') tell('UNAVAILABLE', 'unloaded');
    const upload = this.#made.get(servable)?.upload;
    if (upload !== undefined && !this.#isServed(ref.name, upload)) this.#discard(upload);
  }

  #isServed(name: string, upload: ModelUpload): boolean {
    const servables = [...this.#models.versionsOf(name), ...this.#aside];
    return servables.some((servable) => this.#made.get(servable)?.upload === upload);
  }

  #discard(upload: ModelUpload): void {
    this.#uploads.delete(upload);
    void upload.remove().catch((error: unknown) => {
      notify('warn', `files of a model that a client sent were not removed: ${messageOf(error)}`);
    });
  }

  #entriesOf(name: string): IndexEntry[] {
    const { notes, problem } = this.#managed.get(name) ?? { notes: new Map<string, Note>(), problem: '' };
    const served = this.#models.versionsOf(name);
    const entries = served.map(({ ref, state, detail }): IndexEntry => {
      const note = notes.get(ref.version);
      const failure = note?.state === 'UNAVAILABLE' ? note.reason : problem;
      return { ...ref, state, reason: state === 'READY' ? failure : detail };
    });
    for (const [version, { state, reason }] of notes) {
      if (!served.some(({ ref }) => ref.version === version)) entries.push({ name, version, state, reason });
    }
    if (entries.length === 0)
      return [{ name, version: '', state: problem === '' ? '' : 'UNAVAILABLE', reason: problem }];
    return entries.sort((a, b) => compareVersions(a.version, b.version));
  }
}

/** The models that an ensemble asks. */
function stepsOf({ config }: Pick<Servable, 'config'>): ReadonlySet<string> {
  return new Set(config.ensemble_scheduling?.step.map(({ model_name }) => model_name));
}

/** For unreadable or invalid files: everything that serves stays. */
function asLoadFailure(name: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof ModelConfigError) && !(error instanceof DiskTimeout)) throw error;
    throw new InferError('load_failed', `failed to load '${name}': ${error.message}`, { cause: error });
  };
}

function notFound(name: string): InferError {
  return new InferError('model_not_found', `failed to load '${name}', failed to poll from model repository`);
}

/** Names what lies in the root of the repository and is not served, once at the start. */
function reportStrays(repository: string, { foreign, loose }: RepositoryNames): void {
  for (const name of foreign) notify('warn', `${path.join(repository, name)} is ignored: it is not a model`);
  for (const name of loose) {
    const place = path.join(repository, path.basename(name, '.onnx'), '1', 'model.onnx');
    notify('warn', `${path.join(repository, name)} is not served: move it to ${place}`);
  }
}

function loadFailed(name: string, problems: readonly string[]): InferError {
  return new InferError('load_failed', `load failed for model '${name}': ${problems.join('\n')}`);
}

function ending(): InferError {
  return new InferError('draining', 'the server ends: it loads and unloads nothing more');
}

function notify(level: 'warn' | 'error', text: string): void {
  diagnostics.notice.publish({ level, text });
}
