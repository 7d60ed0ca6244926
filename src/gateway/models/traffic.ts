/** How the requests of one model are spread over its versions: from its configuration, and changeable while it serves. */

import type { Call } from '../accept/call.ts';
import type { ModelConfig } from '../repository/config/model-config.ts';
import {
  defaultVersion,
  stickyKey,
  type TrafficPlan,
  type VersionState,
  versionAt,
  versionFor,
} from './version-choice.ts';

/** The metadata key by which a request that names no version asks for one, or for a label. */
const VERSION_KEY = 'tensorgate-version';

/** Traffic that a rollout sets instead of the configuration: the version that answers, and the version that gets copies. */
export type TrafficOverride = Pick<TrafficPlan, 'split' | 'shadow'>;

export class Traffic {
  /** Differs by model, so that sticky users of one model are not the sticky users of all. */
  readonly #seed: number;
  #configured: TrafficPlan;
  #override: TrafficOverride | undefined;
  #plan: TrafficPlan;

  constructor(model: string, configured: TrafficPlan, override?: TrafficOverride) {
    this.#seed = stickyKey(model);
    this.#configured = configured;
    this.#override = override;
    this.#plan = { ...configured, ...override };
  }

  /** How requests are spread. */
  get plan(): TrafficPlan {
    return this.#plan;
  }

  get configured(): TrafficPlan {
    return this.#configured;
  }

  /** The model was loaded again: what its configuration says now. An override stays. */
  configure(configured: TrafficPlan): void {
    this.#configured = configured;
    this.#plan = { ...configured, ...this.#override };
  }

  /** From now on requests are spread like this, whatever the configuration says; `undefined`: as it says. */
  override(override: TrafficOverride | undefined): void {
    this.#override = override;
    this.#plan = { ...this.#configured, ...override };
  }

  /** The version that a request asks for: what it names, otherwise its metadata, with labels replaced; `''` where it leaves that to the server. */
  askedBy(version: string, call: Call | undefined): string {
    const named = version === '' ? overrideOf(call) : version;
    return this.#plan.labels.get(named) ?? named;
  }

  /**
   * The version for a request that leaves it to the server: by the split, or, where that has no READY version, or there is no
   * call to be spread, the default.
   * @param random gives the next number of [0, 1).
   */
  choose<Version extends VersionState>(
    versions: readonly Version[],
    call: Call | undefined,
    random: () => number,
  ): Version | undefined {
    const { split, stickyBy } = this.#plan;
    if (call === undefined || split.size === 0) return defaultVersion(versions, this.#plan);
    const value = stickyBy === undefined ? undefined : call.get(stickyBy);
    const chosen =
      value === undefined
        ? versionAt(versions, split, random())
        : versionFor(versions, split, stickyKey(String(value), this.#seed));
    return chosen ?? defaultVersion(versions, this.#plan);
  }
}

/** Traffic of a model's configuration. */
export function trafficOf({ labels, traffic }: ModelConfig['tensorgate']): TrafficPlan {
  const { split = {}, sticky_by: stickyBy, shadow } = traffic;
  return {
    labels: new Map(Object.entries(labels).map(([label, version]) => [label, String(version)])),
    split: new Map(Object.entries(split)),
    stickyBy: stickyBy?.toLowerCase(),
    shadow: shadow === undefined ? undefined : { version: String(shadow.version), share: shadow.share },
  };
}

/** Whether a version gets copies, and no requests but those that name it. */
export function isOnlyShadow({ split, shadow }: TrafficPlan, version: string): boolean {
  return shadow?.version === version && (split.get(version) ?? 0) === 0;
}

/** A step of an ensemble has the metadata of the client's call, which names a version of the ensemble. */
function overrideOf(call: Call | undefined): string {
  if (call === undefined || call.step !== undefined) return '';
  const value = call.get(VERSION_KEY);
  return typeof value === 'string' ? value : '';
}
