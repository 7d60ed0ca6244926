/** The entries of a model in `RepositoryIndexResponse`. */

import type { ModelState } from '../../ops/diagnostics.ts';
import { compareVersions } from '../../repository/version-number.ts';
import type { Servable } from '../servable.ts';
import type { ManagedModel } from './managed-model.ts';

export interface IndexEntry {
  readonly name: string;
  /** Empty for a model whose versions were never tried. */
  readonly version: string;
  /** Empty for a model that was never loaded. */
  readonly state: '' | ModelState;
  /** Why it is in that state; for a READY version, why a newer one could not take its place. */
  readonly reason: string;
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
