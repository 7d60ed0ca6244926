/** The model versions of the server, by name and number: from what is on disk to what answers. */

import type { Call } from './accept/call.ts';
import { InferError } from './errors.ts';
import type { Servable } from './servable.ts';

export class ModelTable {
  /** By model name; versions ascending. */
  readonly #versions = new Map<string, Servable[]>();
  /** Models that could not even be planned (a bad configuration, no versions), and why. */
  readonly #broken = new Map<string, string>();

  add(model: Servable): void {
    const versions = this.#versions.get(model.ref.name) ?? [];
    versions.push(model);
    versions.sort((a, b) => Number(a.ref.version) - Number(b.ref.version));
    this.#versions.set(model.ref.name, versions);
  }

  /** Records a model that cannot be loaded at all. */
  addBroken(name: string, problem: string): void {
    this.#broken.set(name, problem);
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

  versionsOf(name: string): readonly Servable[] {
    return this.#versions.get(name) ?? [];
  }

  /**
   * The version asked for; for an empty version the highest that is READY, or, where none is, the highest.
   * @throws InferError `model_not_found`, `model_not_ready` for a model that failed as a whole, or `invalid_request` for a
   *   version that is no number. The texts are Triton's.
   */
  find(name: string, version: string, _call?: Call): Servable {
    const versions = this.#versions.get(name);
    if (versions === undefined) {
      const problem = this.#broken.get(name);
      if (problem !== undefined)
        throw new InferError('model_not_ready', `model '${name}' is not at ready state: ${problem}`);
      throw new InferError('model_not_found', `Request for unknown model: '${name}' is not found`);
    }
    if (version === '') {
      const found = versions.findLast(({ state }) => state === 'READY') ?? versions.at(-1);
      if (found === undefined)
        throw new InferError('model_not_found', `Request for unknown model: '${name}' has no available versions`);
      return found;
    }
    if (!/^[0-9]{1,18}$/.test(version)) {
      const text = `failed to get model version from specified version string '${version}', version should be an integral value > 0`;
      throw new InferError('invalid_request', text);
    }
    const found = versions.find(({ ref }) => ref.version === version);
    if (found === undefined) {
      throw new InferError('model_not_found', `Request for unknown model: '${name}' version ${version} is not found`);
    }
    return found;
  }
}
