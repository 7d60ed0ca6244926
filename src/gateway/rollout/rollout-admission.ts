/** Admission of a rollout: whether a model can be rolled out to a version, and by which plan. */

import path from 'node:path';
import { InferError } from '../errors.ts';
import type { ModelTable } from '../models/model-table.ts';
import type { Servable } from '../models/servable.ts';
import type { Traffic } from '../models/traffic.ts';
import { ModelConfigError } from '../repository/config/model-config.ts';
import { isVersionName } from '../repository/version-number.ts';
import { readPublished } from '../repository/version-report.ts';
import { expectedLimits } from './expectations.ts';
import { DEFAULT_COURSE, type RolloutPlan } from './rollout-plan.ts';
import { firstRecord, type RolloutRecord } from './rollout-record.ts';
import type { RolloutRequest } from './rollout-request.ts';
import type { VersionLoader } from './version-loader.ts';

export class RolloutAdmission {
  readonly #models: ModelTable;
  readonly #loader: VersionLoader;
  readonly #onDemand: boolean;

  constructor(models: ModelTable, loader: VersionLoader, onDemand: boolean) {
    this.#models = models;
    this.#loader = loader;
    this.#onDemand = onDemand;
  }

  /** The number of the version that a request names, maybe by a label. */
  versionOf({ model, version }: RolloutRequest): string {
    return this.#models.trafficOf(model)?.askedBy(version, undefined) ?? version;
  }

  /**
   * The first record of the rollout that a request asks for. Changes nothing.
   * @throws InferError `invalid_request`, `model_not_found`, `model_not_ready`, `rollout_refused`, and as `VersionLoader` does
   */
  async admit(request: RolloutRequest): Promise<RolloutRecord> {
    const plan = await this.#plan(request);
    const versions = this.#models.versionsOf(plan.model);
    const isLoaded = versions.some(({ ref, state }) => ref.version === plan.to && state === 'READY');
    return firstRecord(plan, isLoaded);
  }

  /** The plan of a rollout, with the limits that the report of the new version expects. */
  async #plan(request: RolloutRequest): Promise<RolloutPlan> {
    const { model, course, limits } = request;
    const answering = this.#models.find(model, '');
    const to = this.versionOf(request);
    if (!isVersionName(to)) {
      throw new InferError(
        'invalid_request',
        `version: expected a number above 0, or a label of the model, got '${to}'`,
      );
    }
    const refuse = (text: string): InferError =>
      new InferError('rollout_refused', `'${model}' cannot be rolled out: ${text}`);
    const traffic = this.#models.trafficOf(model);
    const problem = obstacle(answering, to, { traffic, onDemand: this.#onDemand });
    if (problem !== undefined) throw refuse(problem);
    const directory = await this.#directoryOf(answering, to);
    const published = await readPublished(directory).catch((error: unknown) => {
      throw error instanceof ModelConfigError ? refuse(error.message) : error;
    });
    const from = answering.ref.version;
    const expected = expectedLimits(published, from);
    return {
      model,
      from,
      to,
      ...DEFAULT_COURSE,
      ...course,
      limits: { ...expected.limits, ...limits },
      expectations: expected.source,
    };
  }

  /** The directory of the new version, whether it is loaded or can be loaded. */
  async #directoryOf({ ref }: Servable, to: string): Promise<string> {
    const served = this.#models.versionsOf(ref.name).find(({ ref: { version } }) => version === to);
    const [modelPath] = served?.modelPaths ?? [];
    if (served?.state === 'READY' && modelPath !== undefined) {
      return path.join(modelPath, ...served.config.default_model_filename.split('/').map(() => '..'));
    }
    const loadable = await this.#loader.loadable(ref.name).catch((error: unknown) => {
      if (!(error instanceof InferError) || error.reason !== 'control_disabled') throw error;
      const how = served === undefined ? 'not loaded' : `${served.state}: ${served.detail}`;
      throw new InferError('control_disabled', `version ${to} of '${ref.name}' is ${how}, and ${error.message}`);
    });
    const directory = loadable.get(to);
    if (directory !== undefined && loadable.has(ref.version)) return directory;
    if (directory === undefined) {
      const text = `Request for unknown model: '${ref.name}' version ${to} is not found, or its version_policy leaves it out`;
      throw new InferError('model_not_found', text);
    }
    const text = `'${ref.name}' cannot be rolled out: its version_policy serves ${[...loadable.keys()].join(', ')}, and a load would end version ${ref.version}: set version_policy: {all: {}}`;
    throw new InferError('rollout_refused', text);
  }
}

/** The version that answers the unversioned requests of a model. */
export type Answering = Pick<Servable, 'ref' | 'config' | 'platform' | 'state' | 'detail'>;

/** The reason why a model cannot be rolled out, whatever the new version is. @param onDemand whether models are evicted for others */
export function obstacle(
  { ref, config, platform, state, detail }: Answering,
  to: string,
  {
    traffic,
    onDemand,
  }: { readonly traffic: Pick<Traffic, 'plan' | 'configured'> | undefined; readonly onDemand: boolean },
): string | undefined {
  if (platform === 'ensemble') return 'it is an ensemble, which cannot be copied: roll out the models of its steps';
  if (config.sequence_batching !== undefined) {
    return 'it has sequence_batching: single requests cannot be copied, nor sequences moved to another version';
  }
  if (onDemand && !config.tensorgate.pinned) {
    return 'with --load-on-demand it could be evicted meanwhile: set tensorgate.pinned in its configuration';
  }
  const sharers = [...(traffic?.plan.split ?? [])].filter(([, share]) => share > 0);
  if (sharers.length > 1) {
    const versions = sharers.map(([version]) => version).join(', ');
    return `its requests are spread over the versions ${versions}: give all of them to one in tensorgate.traffic.split`;
  }
  const shadow = traffic?.configured.shadow;
  if (shadow !== undefined && shadow.version !== to) {
    return `its configuration has version ${shadow.version} as the shadow: take tensorgate.traffic.shadow out`;
  }
  if (state !== 'READY') return `version ${ref.version}, which answers, is ${state}: ${detail}`;
  if (ref.version !== to) return undefined;
  return `version ${to} answers already. To try it beside another first, give that the requests: tensorgate.traffic.split: {<version>: 100}`;
}
