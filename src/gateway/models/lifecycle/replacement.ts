/**
 * Replacement of the versions of a model by those that its source names: a pure decision, in two steps. Before anything loads,
 * `planReplacement` names the versions to keep and to load. Once they have loaded or failed, `completeReplacement` names the serving ones.
 *
 * This holds LIFE-4: a version never leaves where the model would be left without a READY version because another version failed.
 */

/** A version of the model. Versions of equal identity are the same: files, and configuration. */
export interface VersionIdentity {
  readonly version: string;
  readonly identity: string;
}

export interface ServedVersion {
  readonly version: string;
  readonly identity: string | undefined;
  readonly isReady: boolean;
}

export interface ReplacementPlan<Served, Wanted> {
  /** Versions that are neither loaded nor unloaded. */
  readonly keep: readonly Served[];
  /** Versions to load beside those that serve. */
  readonly load: readonly Wanted[];
}

/**
 * @param wanted the versions that the source names, each once
 * @param failed identities of versions that failed to load, by version
 * @param again whether what failed is tried again although nothing has changed
 */
export function planReplacement<Served extends ServedVersion, Wanted extends VersionIdentity>(
  before: readonly Served[],
  wanted: readonly Wanted[],
  failed: ReadonlyMap<string, string | undefined>,
  again: boolean,
): ReplacementPlan<Served, Wanted> {
  const keep = before.filter((served) => served.isReady && wanted.some((each) => isSame(served, each)));
  const load = wanted.filter((each) => {
    if (keep.some((served) => isSame(served, each))) return false;
    return again || failed.get(each.version) !== each.identity;
  });
  return { keep, load };
}

export interface ReplacementResult<Served> {
  readonly serve: readonly Served[];
  readonly retire: readonly {
    readonly served: Served;
    /** Whether another one serves under its version. */
    readonly isReplaced: boolean;
  }[];
}

/**
 * @param loaded versions that are READY
 * @param failedAny whether a version that was to be loaded failed
 */
export function completeReplacement<Served extends ServedVersion>(
  before: readonly Served[],
  wanted: readonly Pick<VersionIdentity, 'version'>[],
  keep: readonly Served[],
  loaded: readonly Served[],
  failedAny: boolean,
): ReplacementResult<Served> {
  const renewed = [...keep, ...loaded];
  const isServing = renewed.some(({ isReady }) => isReady);
  const left = before.filter((served) => {
    if (isAmong(renewed, served)) return false;
    // A wanted version that is neither kept nor loaded has failed to be replaced. LIFE-4 holds the others.
    return isAmong(wanted, served) || (failedAny && !isServing);
  });
  const serve = [...renewed, ...left];
  const gone = before.filter((served) => !serve.includes(served));
  return { serve, retire: gone.map((served) => ({ served, isReplaced: isAmong(serve, served) })) };
}

function isSame(served: ServedVersion, wanted: VersionIdentity): boolean {
  return served.version === wanted.version && served.identity === wanted.identity;
}

function isAmong(versions: readonly { readonly version: string }[], { version }: ServedVersion): boolean {
  return versions.some((each) => each.version === version);
}
