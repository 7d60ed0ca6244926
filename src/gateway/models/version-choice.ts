/**
 * Chooses the version for an unversioned request: pure functions of the configuration, the READY versions, and a number that is
 * random, or derived from the sticky key.
 */

export interface VersionState {
  readonly ref: { readonly version: string };
  readonly state: string;
}

/** Shares of the requests by version, in any unit: `3` 90, `4` 10 is `3` 9, `4` 1. Empty: no split. */
export type Split = ReadonlyMap<string, number>;

/** A version that gets copies of a share of the requests, from 0 to 1, and otherwise only requests that name it. */
export interface ShadowPlan {
  readonly version: string;
  readonly share: number;
}

/** How the requests of one model are spread. */
export interface TrafficPlan {
  /** Versions by names that requests may use in their place. */
  readonly labels: ReadonlyMap<string, string>;
  readonly split: Split;
  /** A metadata key, in lower case: requests with the same value of it get the same version. */
  readonly stickyBy: string | undefined;
  readonly shadow: ShadowPlan | undefined;
}

/**
 * The version at `point` of [0, 1), where the READY versions of the split lie side by side, each as long as its share: what is
 * not READY gets nothing, and the others its share. `undefined` where the split has no READY version.
 */
export function versionAt<Version extends VersionState>(
  versions: readonly Version[],
  split: Split,
  point: number,
): Version | undefined {
  let total = 0;
  for (const version of versions) total += weightOf(version, split);
  let left = point * total;
  let chosen: Version | undefined;
  for (const version of versions) {
    const weight = weightOf(version, split);
    if (weight === 0) continue;
    chosen = version;
    left -= weight;
    if (left < 0) break;
  }
  return chosen;
}

/**
 * The version that sticks to `key`, by weighted rendezvous hashing (Schindelhauer and Schomaker, SPAA 2005): each version has
 * a point of its own for the key, and the version with the best point, weighted by its share, gets it.
 *
 * A larger share only attracts keys, a smaller one only gives some away, and when a version is no longer READY, only its own keys
 * move. Between two versions only the necessary keys move.
 */
export function versionFor<Version extends VersionState>(
  versions: readonly Version[],
  split: Split,
  key: number,
): Version | undefined {
  let chosen: Version | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const version of versions) {
    const weight = weightOf(version, split);
    if (weight === 0) continue;
    // Exponentially distributed with the rate `weight`: each has the smallest value with the probability of its share.
    const score = -Math.log(pointOf(key, bitsOf(version.ref.version))) / weight;
    if (score >= least) continue;
    chosen = version;
    least = score;
  }
  return chosen;
}

/**
 * The version that a model answers for as a whole, in its metadata, say: the READY one with the largest share, without a
 * split the highest READY one, and where none is READY the highest. One that only is a shadow is passed over as long as there
 * is another.
 */
export function defaultVersion<Version extends VersionState>(
  versions: readonly Version[],
  { split, shadow }: TrafficPlan,
): Version | undefined {
  let largest = 0;
  let chosen: Version | undefined;
  for (const version of versions) {
    const weight = weightOf(version, split);
    if (weight === 0 || weight < largest) continue;
    largest = weight;
    chosen = version;
  }
  return (
    chosen ?? highest(versions, shadow?.version, true) ?? highest(versions, shadow?.version, false) ?? versions.at(-1)
  );
}

/** Spreads the values of a metadata key over 32 bits: the same in every process, so that replicas agree. */
export function stickyKey(value: string, seed = 0): number {
  let hash = (0x811c_9dc5 ^ seed) >>> 0;
  // FNV-1a, of UTF-16 units: its high bits are poor, and `mix` sees to them.
  for (let at = 0; at < value.length; at++) hash = Math.imul(hash ^ value.charCodeAt(at), 0x0100_0193);
  return mix(hash);
}

function highest<Version extends VersionState>(
  versions: readonly Version[],
  shadow: string | undefined,
  onlyReady: boolean,
): Version | undefined {
  // A loop, because every request comes by here: a predicate would be a new function for each.
  for (let at = versions.length - 1; at >= 0; at--) {
    const version = versions[at];
    if (version === undefined || version.ref.version === shadow) continue;
    if (!onlyReady || version.state === 'READY') return version;
  }
  return undefined;
}

function weightOf({ ref, state }: VersionState, split: Split): number {
  return state === 'READY' ? (split.get(ref.version) ?? 0) : 0;
}

/** Above 0 and below 1. */
function pointOf(key: number, version: number): number {
  return (mix(key ^ mix(version)) + 0.5) / 2 ** 32;
}

/** The low 32 bits of a version's number, exact also above 2^53. */
function bitsOf(version: string): number {
  return version.length < 16 ? Number(version) : Number(BigInt.asUintN(32, BigInt(version)));
}

/** The finalizer of MurmurHash3: each bit in changes half of the bits out. */
function mix(bits: number): number {
  let hash = bits;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
