/** Which models may be evicted to make room for others, and which first. */

import type { ModelTable } from '../model-table.ts';
import type { Servable } from '../servable.ts';
import { isStep } from './ensemble-steps.ts';
import type { Origin } from './model-sources.ts';

/**
 * Models that may be evicted, the least recently used or loaded first. These models are never evicted: pinned ones, steps of an
 * ensemble, models with waiting requests, models under a load or unload, and models that a plain load would not restore as they are.
 * @param living versions in the table and outside
 * @param isFree whether no load or unload of the model runs or waits
 */
export function evictionOrder(
  models: Pick<ModelTable, 'names' | 'versionsOf'>,
  living: readonly Servable[],
  origins: Pick<WeakMap<Servable, Origin>, 'get'>,
  isFree: (name: string) => boolean,
): string[] {
  const isEvictable = (servable: Servable): boolean => {
    const { config, queuedRequests } = servable;
    return !config.tensorgate.pinned && queuedRequests === 0 && origins.get(servable)?.isPlain === true;
  };
  const usedAtMs = (servable: Servable): number =>
    Math.max(servable.statistics.lastUsedMs, origins.get(servable)?.atMs ?? 0);
  return models
    .names()
    .map((name) => ({ name, versions: models.versionsOf(name) }))
    .filter(({ name, versions }) => versions.length > 0 && isFree(name) && !isStep(name, living))
    .filter(({ versions }) => versions.every(isEvictable))
    .map(({ name, versions }) => ({ name, atMs: Math.max(...versions.map(usedAtMs)) }))
    .sort((a, b) => a.atMs - b.atMs)
    .map(({ name }) => name);
}
