import type { ModelPlan } from '../../src/gateway/models/planned-version.ts';

/** The plan of a version that has no files and is never loaded. */
export function emptyPlan({ ref, config }: Pick<ModelPlan, 'ref' | 'config'>): ModelPlan {
  return {
    ref,
    config,
    directory: '/nowhere',
    sessions: [],
    problem: undefined,
    mailboxDirectory: '/nowhere',
    loadLimitMs: 1_000,
    maxRunMs: 1_000,
    maxOutputBytes: 2 ** 20,
  };
}
