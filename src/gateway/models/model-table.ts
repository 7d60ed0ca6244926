/**
 * The model versions of the server, by name and number: what a request finds.
 *
 * TABLE-1: what there is of a model is one array, which is never changed, only replaced as a whole: no request meets half a reload.
 */

import type { Call } from '../accept/call.ts';
import { InferError } from '../errors.ts';
import { compareVersions, isVersionNumber } from '../repository/version-number.ts';
import type { Servable } from './servable.ts';
import { Traffic, type TrafficOverride, trafficOf } from './traffic.ts';

export class ModelTable {
  /** By model name; versions ascending. */
  readonly #versions = new Map<string, readonly Servable[]>();
  /** Models that could not even be planned (a bad configuration, no versions), and why. */
  readonly #broken = new Map<string, string>();
  /** By model name: how its requests are spread. */
  readonly #traffic = new Map<string, Traffic>();
  /** By model name, loaded or not: what stands in place of its configuration. */
  readonly #overrides = new Map<string, TrafficOverride>();
  readonly #random: () => number;

  readonly #listeners = new Set<(name: string) => void>();

  /** @param random by which requests are spread over versions. */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  add(model: Servable): void {
    const { name } = model.ref;
    this.serve(name, [...this.versionsOf(name), model]);
  }

  /** From now on these versions are all that there is of a model; with none of them it is known, but cannot be asked. */
  serve(name: string, versions: readonly Servable[]): void {
    this.#broken.delete(name);
    const ascending = versions.toSorted((a, b) => compareVersions(a.ref.version, b.ref.version));
    this.#versions.set(name, ascending);
    this.#updateTraffic(name, ascending.at(-1));
    this.#notify(name);
  }

  /** Records a model that cannot be loaded at all. */
  addBroken(name: string, problem: string): void {
    this.#broken.set(name, problem);
    this.#notify(name);
  }

  /** From now on there never was such a model. */
  forget(name: string): void {
    this.#versions.delete(name);
    this.#broken.delete(name);
    this.#traffic.delete(name);
    this.#notify(name);
  }

  /**
   * Calls the listener with a model's name after every change of what there is of it, until the returned function is called.
   * States of versions are published elsewhere.
   */
  onChange(listener: (name: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get broken(): ReadonlyMap<string, string> {
    return this.#broken;
  }

  /** Every version of every model, by name, then ascending. */
  all(): Servable[] {
    return [...this.#versions.keys()].sort().flatMap((name) => this.#versions.get(name) ?? []);
  }

  names(): string[] {
    return [...new Set([...this.#versions.keys(), ...this.#broken.keys()])].sort();
  }

  /** Whether there is, or would be, such a model: also one that is broken. */
  has(name: string): boolean {
    return this.#versions.has(name) || this.#broken.has(name);
  }

  versionsOf(name: string): readonly Servable[] {
    return this.#versions.get(name) ?? [];
  }

  /** How the requests of a model are spread; `undefined` where it has no versions. */
  trafficOf(name: string): Traffic | undefined {
    return this.#traffic.get(name);
  }

  /** From now on, and whenever the model is loaded again, its requests are spread like this; `undefined`: as its configuration says. */
  override(name: string, override: TrafficOverride | undefined): void {
    if (override === undefined) this.#overrides.delete(name);
    else this.#overrides.set(name, override);
    this.#traffic.get(name)?.override(override);
  }

  /** The version that a model answers for where none is named, and no request is to be spread. */
  defaultOf(name: string): Servable | undefined {
    return this.#traffic.get(name)?.choose(this.versionsOf(name), undefined, this.#random);
  }

  /**
   * The version requested by number or label, in the request or in the metadata of its call; otherwise the version chosen by the
   * model's traffic (docs/traffic.md).
   * @throws InferError `model_not_found`, `model_not_ready` for a model that failed as a whole, or `invalid_request` for a
   *   version that is no number. The texts are Triton's.
   */
  find(name: string, version: string, call?: Call): Servable {
    const versions = this.#versions.get(name);
    if (versions === undefined) {
      const problem = this.#broken.get(name);
      if (problem !== undefined)
        throw new InferError('model_not_ready', `model '${name}' is not at ready state: ${problem}`);
      throw new InferError('model_not_found', `Request for unknown model: '${name}' is not found`);
    }
    const traffic = this.#traffic.get(name);
    const asked = traffic?.askedBy(version, call) ?? version;
    if (asked === '') {
      const found = traffic?.choose(versions, call, this.#random);
      if (found === undefined)
        throw new InferError('model_not_found', `Request for unknown model: '${name}' has no available versions`);
      return found;
    }
    if (!isVersionNumber(asked)) {
      const text = `failed to get model version from specified version string '${asked}', version should be an integral value > 0`;
      throw new InferError('invalid_request', text, { field: 'model_version' });
    }
    const found = versions.find(({ ref }) => ref.version === asked);
    if (found === undefined) {
      throw new InferError('model_not_found', `Request for unknown model: '${name}' version ${asked} is not found`);
    }
    return found;
  }

  /** All versions of a model have one configuration; where a version could not be replaced by a newer one, the highest counts. */
  #updateTraffic(name: string, highest: Servable | undefined): void {
    if (highest === undefined) {
      this.#traffic.delete(name);
      return;
    }
    const plan = trafficOf(highest.config.tensorgate);
    const traffic = this.#traffic.get(name);
    if (traffic === undefined) this.#traffic.set(name, new Traffic(name, plan, this.#overrides.get(name)));
    else traffic.configure(plan);
  }

  #notify(name: string): void {
    for (const listener of this.#listeners) listener(name);
  }
}
