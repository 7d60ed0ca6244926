/** The sources of models: their folders in the repository, and files that clients sent. */

import { fingerprintModel } from '../../repository/fingerprint.ts';
import { type ModelFolder, readModel } from '../../repository/model-repository.ts';
import { type PlanDefaults, planModel } from '../model-plan.ts';
import type { ModelPlan } from '../planned-version.ts';
import { asLoadFailure, notFound } from './load-refusals.ts';
import type { ModelUpload } from './model-upload.ts';
import type { RepositoryListing } from './repository-listing.ts';

export interface Source {
  readonly folder: ModelFolder;
  /** A configuration that a client sent. */
  readonly config: string | undefined;
  /** Files that a client sent. */
  readonly upload: ModelUpload | undefined;
}

/** A plan of one version, and its identity: versions of equal identity are the same. */
export interface IdentifiedPlan {
  readonly version: string;
  readonly identity: string;
  readonly plan: ModelPlan;
}

export interface Origin {
  readonly identity: string;
  readonly upload: ModelUpload | undefined;
  /** From the repository, with the configuration that is there. */
  readonly isPlain: boolean;
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
}

export function originOf({ upload, config }: Source, identity: string): Origin {
  return { identity, upload, isPlain: upload === undefined && config === undefined, atMs: performance.now() };
}

export class ModelSources {
  readonly #repository: string;
  readonly #listing: Pick<RepositoryListing, 'look'>;
  readonly #defaults: PlanDefaults;

  constructor(repository: string, listing: Pick<RepositoryListing, 'look'>, defaults: PlanDefaults) {
    this.#repository = repository;
    this.#listing = listing;
    this.#defaults = defaults;
  }

  /** The model's folder as it is now. @throws InferError `model_not_found`, `load_failed` */
  async find(name: string): Promise<Source> {
    if (!(await this.#listing.look()).has(name)) throw notFound(name);
    return this.read(name);
  }

  /** @param name of a model in the repository. @throws InferError `load_failed` */
  async read(name: string): Promise<Source> {
    const folder = await readModel(this.#repository, name).catch(asLoadFailure(name));
    return { folder, config: undefined, upload: undefined };
  }

  /** @throws ModelConfigError with the reason why no version can be tried */
  async plan({ folder, config, upload }: Source): Promise<IdentifiedPlan[]> {
    const fingerprint = await fingerprintModel(folder.directory);
    const plans = await planModel(folder, this.#defaults, {
      configOverride: config,
      fingerprint,
      isUpload: upload !== undefined,
    });
    // An upload always differs from the loaded versions.
    const from = JSON.stringify([config, upload?.folder.directory]);
    return plans.map((plan) => ({
      version: plan.ref.version,
      identity: `${from}\n${plan.fingerprint}`,
      plan,
    }));
  }

  /** The plans without a fingerprint of the files; none where the model cannot be planned. */
  async peek(name: string): Promise<readonly Pick<ModelPlan, 'config'>[]> {
    try {
      const { folder } = await this.read(name);
      return await planModel(folder, this.#defaults);
    } catch {
      return [];
    }
  }
}
