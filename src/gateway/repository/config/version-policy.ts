/** Which of the versions on disk are served. */

import type { ModelConfig } from './model-config.ts';

/** @param versions ascending. */
export function chooseVersions(versions: readonly string[], policy: ModelConfig['version_policy']): readonly string[] {
  if ('all' in policy) return versions;
  if ('latest' in policy) return versions.slice(-policy.latest.num_versions);
  const wanted = new Set(policy.specific.versions);
  return versions.filter((version) => wanted.has(version));
}

export function missingVersions(versions: readonly string[], policy: ModelConfig['version_policy']): readonly string[] {
  return 'specific' in policy ? policy.specific.versions.filter((version) => !versions.includes(version)) : [];
}
