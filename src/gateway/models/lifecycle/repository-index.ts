/** The entries of a model in `RepositoryIndexResponse`. */

import type { ModelState } from '../../ops/diagnostics.ts';
import { compareVersions } from '../../repository/version-number.ts';
import type { LoadFailures } from '../load-failures.ts';
import type { ModelTable } from '../model-table.ts';
import type { Servable } from '../servable.ts';
import { ManagedModel } from './managed-model.ts';

export interface IndexEntry {
  readonly name: string;
  /** Empty for a model whose versions were never tried. */
  readonly version: string;
  /** Empty for a model that was never loaded. */
  readonly state: '' | ModelState;
  /** Why it is in that state; for a READY version, why a newer one could not take its place. */
  readonly reason: string;
}

/** Every version of every model on disk or loaded, by name, then by version. */
export function repositoryIndex(
  onDisk: ReadonlySet<string>,
  managed: ReadonlyMap<string, ManagedModel>,
  models: Pick<ModelTable, 'names' | 'versionsOf'>,
): IndexEntry[] {
  const names = new Set([...onDisk, ...managed.keys(), ...models.names()]);
  return [...names]
    .sort()
    .flatMap((name) => indexEntries(name, models.versionsOf(name), managed.get(name) ?? new ManagedModel(name)));
}

/** Failures that the table does not show, by model name: a version that failed while the server runs never gets into it. */
export function loadFailures(
  managed: ReadonlyMap<string, ManagedModel>,
  models: Pick<ModelTable, 'versionsOf'>,
): ReadonlyMap<string, LoadFailures> {
  const failures = new Map<string, LoadFailures>();
  for (const [name, { notes, problem }] of managed) {
    const served = new Set(models.versionsOf(name).map(({ ref }) => ref.version));
    // An unloaded version is UNAVAILABLE as well, and has no identity.
    const failed = [...notes].filter(
      ([version, { state, identity }]) => state === 'UNAVAILABLE' && identity !== undefined && !served.has(version),
    );
    if (failed.length === 0 && problem === '') continue;
    failures.set(name, { problem, versions: new Map(failed.map(([version, { reason }]) => [version, reason])) });
  }
  return failures;
}

export function indexEntries(
  name: string,
  served: readonly Pick<Servable, 'ref' | 'state' | 'detail'>[],
  { notes, problem }: Pick<ManagedModel, 'notes' | 'problem'>,
): IndexEntry[] {
  const entries = served.map(({ ref, state, detail }): IndexEntry => {
    const note = notes.get(ref.version);
    const failure = note?.state === 'UNAVAILABLE' ? note.reason : problem;
    return { ...ref, state, reason: state === 'READY' ? failure : detail };
  });
  for (const [version, { state, reason }] of notes) {
    if (!served.some(({ ref }) => ref.version === version)) entries.push({ name, version, state, reason });
  }
  if (entries.length === 0) return [{ name, version: '', state: problem === '' ? '' : 'UNAVAILABLE', reason: problem }];
  return entries.sort((a, b) => compareVersions(a.version, b.version));
}
