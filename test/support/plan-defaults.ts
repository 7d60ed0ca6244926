import type { PlanDefaults } from '../../src/gateway/models/model-plan.ts';
import { PATIENCE_MS } from './runners.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** Defaults of a server on the CPU with one core, whose loads and runs may take long. Call it in a test or a hook. */
export function patientDefaults(fields: Partial<PlanDefaults> = {}): PlanDefaults {
  return {
    executionProviders: ['cpu'],
    strictExecutionProviders: false,
    mailboxDirectory: temporaryDirectory(),
    loadLimitMs: PATIENCE_MS,
    maxRunMs: PATIENCE_MS,
    maxOutputBytes: 64 * 2 ** 20,
    cores: 1,
    allowsCode: false,
    ...fields,
  };
}
